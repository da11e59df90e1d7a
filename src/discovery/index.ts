// The door of discovery: where documents and instances come from. Names only, no logic.

export { type CreateRegistryOptions, createRegistry, type RegistryConfig } from "./create-registry.ts";
export {
  ABSENT,
  type ApplyOptions,
  type Registration,
  type RegistrationRequest,
  type RegistrationState,
  type Registry,
  type RegistryChange,
  type RegistryEvent,
  type RegistryIssue,
  type RegistryListener,
  type RegistryPicture,
  type StoredDocument,
} from "./registry.ts";
