// The door of injection: pods get a sidecar, in manifests and on admission. Names only, no logic.

export type { Owner } from "./derive.ts";
export { type Injection, injectPod, type Outcome } from "./inject-pod.ts";
export { type InjectedText, injectText, type Report } from "./manifest-text.ts";
export {
  INTERCEPT_DEFAULT,
  type InjectOptions,
  KUBERNETES_DEFAULT,
  MESH_DEFAULT,
  PRE_STOP_SLEEP_SECONDS,
  RESOURCES_DEFAULT,
  type Resources,
} from "./options.ts";
export { Webhook, type WebhookOptions } from "./webhook.ts";
