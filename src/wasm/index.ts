// The door of the seam to WebAssembly. Names only, no logic.

export {
  Balancer,
  type BalancerExports,
  type InstanceGauges,
  instantiateBalancer,
  type Member,
  type OutlierTuning,
  POLICY_CODES,
  type PolicyName,
  type ServiceTuning,
  type SetContent,
} from "./balancer.ts";
export { createSharedDescriptors, DescriptorTable, type SharedDescriptors } from "./descriptors.ts";
export {
  createEngine,
  type Engine,
  type EngineExports,
  instantiateEngine,
  RECORD_WORDS,
  recordAt,
} from "./engine.ts";
export { hashBytes, hashText, mixHash } from "./hash.ts";
export { differenceOf, quantileUs } from "./latency.ts";
export { loadModule, type ModuleName, type WorkerModules } from "./load.ts";
export { createEngineMemory, createEngineViews, type EngineViews } from "./memory.ts";
export {
  createBalancerMemory,
  type Ejection,
  type EjectionReason,
  type InstanceWork,
  LATENCY_BOUNDS_US,
  type LatencyCounts,
  SharedCounters,
  watchAdmission,
} from "./shared-memory.ts";
export type { Slot } from "./slots.ts";
