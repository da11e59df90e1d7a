// The door of the data plane: what the main thread needs to start and talk to workers. Names only, no logic.

export { workerEntry, workerFlags } from "./entry.ts";
export {
  BEAT_MS,
  type Endpoint,
  type FromWorker,
  type InterceptSetup,
  type ListenerOffer,
  type Program,
  type ToWorker,
  type WorkerReport,
  type WorkerSetup,
} from "./messages.ts";
