// The door of snapshot: from documents to what engines and balancer carry out. Names only, no logic.

export { Allocation, type Direction, type SlotHolder, type SlotSource } from "./allocation.ts";
export { compileSnapshot } from "./compile.ts";
export type {
  CompiledInstance,
  CompiledLimit,
  CompiledService,
  CompiledSet,
  CompiledSnapshot,
  CompiledTcp,
  CompiledTcpService,
  LocalApp,
  PinnedAddress,
  SnapshotIssue,
  SnapshotOptions,
} from "./compiled.ts";
export { encodeProgram } from "./encode-program.ts";
export type { InstanceProtocol } from "./program-model.ts";
export {
  type PublicationPlan,
  type PublicationStep,
  planPublication,
  publishStep,
  settleSnapshot,
} from "./publication.ts";
export { type CompiledPattern, checkRegex, compileRegex } from "./regex.ts";
