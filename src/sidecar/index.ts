// The door of the composition root. Names only, no logic.

export { type Sidecar, type SidecarOptions, startSidecar } from "./sidecar.ts";
