// The door of config: documents, their schemas and files, and where etcd keeps them. Names only, no logic.

export { type CheckPattern, checkPolicy } from "./checks.ts";
export { type FieldMatch, instanceIdOf, type PathMatch, SCHEMA_VERSION, WEIGHT_MAX } from "./document-schemas.ts";
export type {
  Access,
  Documents,
  Instance,
  InstanceDocument,
  InstanceState,
  Mesh,
  NamedMatch,
  Route,
  Rule,
  RuleMatch,
  Service,
  Target,
} from "./documents.ts";
export type { Issue, JudgeMode } from "./issue.ts";
export { type JsonSchema, jsonSchemaOf, meshFileJsonSchema } from "./json-schema.ts";
export {
  DOCUMENT_KINDS,
  type DocumentId,
  type DocumentKind,
  formatId,
  formatKey,
  instancesPrefix,
  PREFIX_DEFAULT,
  parseKey,
} from "./keyspace.ts";
export { formatKeyspaceDoc } from "./keyspace-doc.ts";
export { isName } from "./kinds.ts";
export { isSection, mergeWritten, type Written } from "./merge.ts";
export {
  formatIssue,
  instanceIdOfWritten,
  type LocatedIssue,
  type MeshFile,
  type MeshFileOptions,
  parseMeshFile,
  type WrittenDocument,
} from "./mesh-file.ts";
export { formatMeshUrl, type MeshUrl, parseMeshUrl } from "./mesh-url.ts";
export { NOT_YET } from "./not-yet.ts";
export { type DocumentJudgement, type ParseOptions, parseDocument, parseService } from "./parse-document.ts";
export {
  BALANCE_POLICIES,
  GRPC_CODES,
  type HashSource,
  PERCENTILES,
  type Policy,
  PROTOCOLS,
  type Protocol,
} from "./policy.ts";
export {
  camelNameOf,
  envNameOf,
  type ParsedProcessConfig,
  type ProcessConfig,
  type ProcessSources,
  parseProcessConfig,
} from "./process.ts";
export { PROCESS_FLAGS, type ProcessFlag, type ServiceListener } from "./process-flags.ts";
export type { FieldEdit } from "./rule-schemas.ts";
export type { DocumentIssue } from "./settle-routes.ts";
export {
  createDocumentStore,
  type DocumentChange,
  type DocumentStore,
  EMPTY_DOCUMENTS,
  policyOf,
  type StoreOptions,
  type StoreOutcome,
} from "./store.ts";
