// The door of the data plane: what the main thread needs to start and talk to workers. Names, and what writes a block.

export { type Endpoint, encodeEndpoints } from "./endpoints.ts";
export { workerEntry, workerFlags } from "./entry.ts";
export {
  BEAT_MS,
  type FromWorker,
  type InterceptSetup,
  type ListenerOffer,
  type Program,
  type ToWorker,
  type WorkerReport,
  type WorkerSetup,
} from "./messages.ts";
