// The door of health: active checks of instances. Names only, no logic.

export { type CheckTarget, HealthChecks, type HealthState } from "./checks.ts";
