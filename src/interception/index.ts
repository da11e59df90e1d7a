// The door of interception: rules that lead a host's connections through its sidecar. Names only, no logic.

export { BACKEND_NAMES, type BackendName } from "./backends.ts";
export {
  checkInterception,
  formatInterception,
  type InterceptionOptions,
  type Outcome,
  setUpInterception,
  tearDownInterception,
} from "./interception.ts";
export { type Network, parseNetwork } from "./networks.ts";
export type { Plan } from "./plan.ts";
