// A registry that is one file: for a newcomer, for a mesh that changes by deployment, and for ConfigMaps.
//
// The file is judged whole: a save that breaks anything changes nothing, and says where. Commands edit the text in
// place (edit-text.ts), so comments survive, and put it there by rename, so no reader ever sees half of it.
//
// A registration is only remembered: who answers stands in the file, and a sidecar that rewrote it would fight its
// author. A draining sidecar is noticed by its peers on the wire (DESIGN §3).

import { open, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Clock, isPillionError, type Log, messageOf, pillionError, uniqueId } from "../../base/index.ts";
import {
  type CheckPattern,
  type DocumentId,
  type DocumentKind,
  formatId,
  formatIssue,
  formatKey,
  type LocatedIssue,
  parseMeshFile,
  type Written,
} from "../../config/index.ts";
import { createListeners, type Listeners } from "../listeners.ts";
import {
  ABSENT,
  type Registration,
  type RegistrationRequest,
  type RegistrationState,
  type Registry,
  type RegistryChange,
  type RegistryIssue,
  type RegistryListener,
  type RegistryPicture,
  type StoredDocument,
} from "../registry.ts";
import { editMeshText } from "./edit-text.ts";
import { type FileWatch, watchFile } from "./watch-file.ts";

export interface FileRegistryOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly checkPattern?: CheckPattern | undefined;
}

/** Opens a file as a registry; nothing is read before `start`. */
export function createFileRegistry(options: FileRegistryOptions): Registry {
  return new FileRegistry(options);
}

class FileRegistry implements Registry {
  readonly #options: FileRegistryOptions;
  readonly #path: string;
  readonly #listeners: Listeners;
  readonly #registrations = new Set<FileRegistration>();
  readonly #started = Promise.withResolvers<void>();
  #watch: FileWatch | undefined;
  #picture: RegistryPicture | undefined;
  #isReadable = false;
  #isStopped = false;

  constructor(options: FileRegistryOptions) {
    this.#options = options;
    this.#path = resolve(options.path);
    this.#listeners = createListeners(options.log);
    // Whoever never calls `start` must not be told that it was stopped.
    this.#started.promise.catch(() => undefined);
  }

  get picture(): RegistryPicture | undefined {
    return this.#picture;
  }

  get connected(): boolean {
    return this.#isReadable && !this.#isStopped;
  }

  start(): Promise<void> {
    this.#watch ??= watchFile({
      path: this.#path,
      clock: this.#options.clock,
      onText: (text) => this.#receive(text),
      onProblem: (problem) => this.#lose(problem),
    });
    return this.#started.promise;
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#watch?.stop();
    for (const registration of this.#registrations) await registration.stop();
    this.#started.reject(pillionError("PILLION_REGISTRY_STOPPED", {}));
  }

  subscribe(listener: RegistryListener): () => void {
    return this.#listeners.add(listener);
  }

  async want(): Promise<void> {
    // The file holds every instance already.
  }

  register({ service, id }: RegistrationRequest): Registration {
    const registration = new FileRegistration((state) => {
      this.#listeners.send({ kind: "registration", service, id, state });
    });
    this.#registrations.add(registration);
    return registration;
  }

  async read(id: DocumentId): Promise<StoredDocument | undefined> {
    const wanted = formatId(id);
    return (await this.list(id.kind)).find((stored) => formatId(stored.id) === wanted);
  }

  async list(kind?: DocumentKind): Promise<readonly StoredDocument[]> {
    return this.#parseStored(await this.#readText()).filter(({ id }) => kind === undefined || id.kind === kind);
  }

  async apply(changes: readonly RegistryChange[]): Promise<void> {
    const path = await realpath(this.#path).catch(() => this.#path);
    const before = await signatureOf(path);
    const text = before === undefined ? "" : await this.#readText();
    this.#checkExpected(text, changes);
    const edited = editMeshText(text, changes);
    if (edited === text) return;
    const parsed = parseMeshFile(edited, { fileName: this.#path, checkPattern: this.#options.checkPattern });
    if (!parsed.ok) {
      const problem = parsed.issues.map((issue) => formatIssue(basename(path), issue)).join("\n");
      throw pillionError("PILLION_CONFIG_INVALID", { problem: `the file would not be valid:\n${problem}` });
    }
    await replaceFile(path, edited, async () => {
      if ((await signatureOf(path)) !== before) throw pillionError("PILLION_REGISTRY_CONFLICT", { key: path });
    });
  }

  async remove(ids: readonly DocumentId[]): Promise<number> {
    const stored = new Set((await this.list()).map(({ id }) => formatId(id)));
    const present = ids.filter((id) => stored.has(formatId(id)));
    await this.apply(present.map((id) => ({ id, value: undefined })));
    return present.length;
  }

  #receive(text: string): void {
    if (!this.#isReadable) {
      this.#isReadable = true;
      this.#listeners.send({ kind: "connected" });
    }
    const parsed = parseMeshFile(text, { fileName: this.#path, checkPattern: this.#options.checkPattern });
    if (!parsed.ok) {
      this.#listeners.send({ kind: "rejected", issues: parsed.issues.map((issue) => this.#issueOf(issue)) });
      return;
    }
    const revision = (this.#picture?.revision ?? 0) + 1;
    const warnings = parsed.warnings.map((issue) => this.#issueOf(issue));
    this.#picture = Object.freeze({ revision, documents: parsed.documents, warnings });
    this.#listeners.send({ kind: "picture", picture: this.#picture });
    this.#started.resolve();
  }

  #lose(problem: string): void {
    this.#isReadable = false;
    this.#listeners.send({ kind: "disconnected", problem });
  }

  #issueOf({ line, column, path, message, hint }: LocatedIssue): RegistryIssue {
    return { where: `${this.#options.path}:${line}:${column}`, path, message, hint };
  }

  async #readText(): Promise<string> {
    try {
      return await readFile(this.#path, "utf8");
    } catch (error) {
      throw pillionError("PILLION_FILE_READ", { path: this.#options.path, problem: messageOf(error) }, error);
    }
  }

  #parseStored(text: string): StoredDocument[] {
    const parsed = parseMeshFile(text, { fileName: this.#options.path, knownServices: "any" });
    if (!parsed.ok) {
      const problem = parsed.issues.map((issue) => formatIssue(this.#options.path, issue)).join("\n");
      throw pillionError("PILLION_CONFIG_INVALID", { problem });
    }
    const stored = parsed.written.map(({ id, value }) => ({ id, value, revision: digestOf(value), isLeased: false }));
    return stored.sort((left, right) => (formatKey("", left.id) < formatKey("", right.id) ? -1 : 1));
  }

  #checkExpected(text: string, changes: readonly RegistryChange[]): void {
    const guarded = changes.filter(({ expectedRevision }) => expectedRevision !== undefined);
    if (guarded.length === 0) return;
    const stored = text === "" ? [] : this.#parseStored(text);
    const revisions = new Map(stored.map(({ id, revision }) => [formatId(id), revision]));
    for (const { id, expectedRevision } of guarded) {
      const current = revisions.get(formatId(id)) ?? ABSENT;
      if (current !== expectedRevision) throw pillionError("PILLION_REGISTRY_CONFLICT", { key: formatId(id) });
    }
  }
}

/** Remembers its state and nothing else. */
class FileRegistration implements Registration {
  readonly #tell: (state: RegistrationState) => void;
  state: RegistrationState = "registered";

  constructor(tell: (state: RegistrationState) => void) {
    this.#tell = tell;
  }

  async update(): Promise<boolean> {
    return this.state === "registered";
  }

  async stop(): Promise<void> {
    if (this.state === "stopped") return;
    this.state = "stopped";
    this.#tell("stopped");
  }
}

/** Puts a text in a file's place in one step, with its mode; `check` is the last thing before. */
async function replaceFile(path: string, text: string, check: () => Promise<void>): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${uniqueId()}`);
  try {
    // Readable by all where there was no file: it holds no secrets.
    const mode = (await stat(path).catch(() => undefined))?.mode ?? 0o644;
    const handle = await open(temporary, "wx", mode & 0o777);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await check();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    if (isPillionError(error)) throw error;
    throw pillionError("PILLION_FILE_WRITE", { path, problem: messageOf(error) }, error);
  }
}

/** What changes with every save; `undefined` where there is no file. */
async function signatureOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found === undefined ? undefined : `${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
}

function digestOf(value: Written): string {
  // Asked for here, because only commands need it, and it takes a start 5 ms.
  const { createHash } = process.getBuiltinModule("node:crypto");
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}
