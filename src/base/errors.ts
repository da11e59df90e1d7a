// Errors by whose fault they are: one class per fault, one table of codes.
//
// A `Bug` is ours: an assertion that does not hold. Nobody catches it but the supervisor, because what comes after a
// broken invariant is worth nothing. A `PillionError` is the world's: a file that is not there, an etcd that does not
// answer, a document that is wrong. It carries a code from the table below, whether trying again may help, and the
// facts of the case. What a peer does wrong on the wire is data, not an exception, and is not here.
//
// Rule 1: a code exists only in this table; the message template, `retryable` and the explanation stand beside it.
// Rule 2: no subclasses. A caller that must tell two cases apart compares codes.

interface ErrorRow {
  /** What happened; `{name}` is replaced by the detail of that name. */
  readonly message: string;
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** What the operator should know or do. */
  readonly doc: string;
}

const ERROR_TABLE = {
  PILLION_USAGE: {
    message: "{problem}",
    retryable: false,
    doc: "The command line, the environment or the flags file is wrong. The message names the flag and what fits.",
  },
  PILLION_CONFIG_INVALID: {
    message: "{problem}",
    retryable: false,
    doc: "A document breaks its schema. Nothing was changed; the last good document stays in force.",
  },
  PILLION_ADDRESS_INVALID: {
    message: "{text} is not an address: {problem}",
    retryable: false,
    doc: "Addresses are written host:port, 127.0.0.1:8080 or [::1]:8080.",
  },
  PILLION_FILE_READ: {
    message: "cannot read {path}: {problem}",
    retryable: true,
    doc: "The file is missing or not readable. A mesh file is read again as soon as its directory changes.",
  },
  PILLION_FILE_WRITE: {
    message: "cannot write {path}: {problem}",
    retryable: true,
    doc: "The file or its directory is not writable.",
  },
  PILLION_REGISTRY_UNAVAILABLE: {
    message: "the registry does not answer ({endpoint}): {problem}",
    retryable: true,
    doc: "No etcd endpoint answered in time. Pillion keeps its last picture and tries again.",
  },
  PILLION_REGISTRY_REFUSED: {
    message: "the registry refused {operation}: {problem}",
    retryable: false,
    doc: "etcd answered, and said no. The message is etcd's own.",
  },
  PILLION_REGISTRY_AUTH: {
    message: "the registry does not let us in: {problem}",
    retryable: false,
    doc: "User, password or client certificate are not accepted, or the role may not read and write the prefix.",
  },
  PILLION_REGISTRY_CONFLICT: {
    message: "{key} was changed by somebody else meanwhile; nothing was written",
    retryable: true,
    doc: "A transaction was guarded by revisions that no longer hold. Read again, decide again, apply again.",
  },
  PILLION_REGISTRY_COMPACTED: {
    message: "etcd no longer holds revision {revision}; the oldest is {oldest}",
    retryable: true,
    doc: "The watch fell behind etcd's compaction. Pillion lists again and continues from there.",
  },
  PILLION_REGISTRY_TOO_LARGE: {
    message: "{changes} changes of {bytes} bytes do not fit one transaction (at most {changesMax}, {bytesMax} bytes)",
    retryable: false,
    doc: "etcd takes at most 128 operations and 1.5 MiB at once. Apply with --chunked, which is not atomic.",
  },
  PILLION_REGISTRY_STOPPED: {
    message: "the registry was stopped",
    retryable: false,
    doc: "The process is shutting down.",
  },
  PILLION_INSTANCE_TAKEN: {
    message: "instance {id} of {service} is registered by somebody else",
    retryable: true,
    doc: "Two sidecars use one --instance. Give each its own id, or wait until the other's lease has ended.",
  },
  PILLION_LISTEN: {
    message: "cannot listen on {address}: {problem}",
    retryable: false,
    doc: "The port is taken or not allowed. Choose another with the flag named in the message, or :0, or off.",
  },
  PILLION_WORKER: {
    message: "worker {worker} ended: {problem}",
    retryable: true,
    doc: "A data-plane thread trapped, hung or exited. It is started again; its connections are gone.",
  },
  PILLION_WASM: {
    message: "cannot load {module}: {problem}",
    retryable: false,
    doc: "The compiled Wasm modules are missing or of another version. Run `npm run build`.",
  },
  PILLION_ROUTE_PATTERN: {
    message: "{pattern} cannot be matched in linear time: {problem}",
    retryable: false,
    doc: "Patterns become a table of at most 2,048 states. Write it shorter, without back references and look-around.",
  },
  PILLION_PROGRAM_MISSING: {
    message: "{program} is not installed",
    retryable: false,
    doc: "A program that this command needs is not on this host.",
  },
  PILLION_UNCLASSIFIED: {
    message: "{problem}",
    retryable: false,
    doc: "An error that nobody foresaw. The cause is attached; please report it.",
  },
} as const satisfies Record<string, ErrorRow>;

/** Every code that a `PillionError` can carry. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/** The facts of the case: they fill the message's template and go to the log as they are. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

/** The table, for docs and for `pillion` commands that explain a code. */
export const ERRORS: Readonly<Record<ErrorCode, ErrorRow>> = ERROR_TABLE;

/** Something in the world went wrong. Created by `pillionError` only. */
export class PillionError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly retryable: boolean;

  constructor(code: ErrorCode, details: ErrorDetails, cause: unknown) {
    super(formatMessage(ERRORS[code].message, details), cause === undefined ? undefined : { cause });
    this.name = "PillionError";
    this.code = code;
    this.details = details;
    this.retryable = ERRORS[code].retryable;
  }
}

/** Our own mistake. Never caught, except by the supervisor that replaces what is broken. */
export class Bug extends Error {
  constructor(message: string) {
    super(`bug in pillion: ${message}`);
    this.name = "Bug";
  }
}

/** Makes the error of a code; `cause` is what the platform or a library threw. */
export function pillionError(code: ErrorCode, details: ErrorDetails, cause?: unknown): PillionError {
  return new PillionError(code, details, cause);
}

/** Whether `error` is a `PillionError`, and (if given) of that code. */
export function isPillionError(error: unknown, code?: ErrorCode): error is PillionError {
  return error instanceof PillionError && (code === undefined || error.code === code);
}

/** Throws a `Bug` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Bug(message);
}

/** Ends a switch over a closed set: the compiler refuses a forgotten case, and so does the run time. */
export function assertNever(value: never): never {
  throw new Bug(`unexpected case ${JSON.stringify(value)}`);
}

/** The sentence of anything that was thrown, for logs and messages. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

function formatMessage(template: string, details: ErrorDetails): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = details[name];
    return value === undefined ? whole : String(value);
  });
}
