// The last good mesh on disk (`--state`): a sidecar that starts while etcd is away serves by it.
//
//   picture of etcd ──► a second later: mesh.json.new, fsync, rename ──► mesh.json ──► start without etcd
//
// It holds the keys as etcd had them, so reading it is a listing like any other, and what was refused then is refused
// now. One file for each folder: sidecars do not share one. It holds no credentials, only what the mesh says.

import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, type Log, messageOf, type Timer } from "../../base/index.ts";

/** Of the file's form; another one is not read. */
const VERSION = 1;
const FILE = "mesh.json";
/** Changes come in bursts; one write holds them all. */
const WRITE_AFTER_MS = 1_000;
const OWNER_ONLY = 0o600;
/** Without a word from etcd for so long what was kept is used. */
const USE_AFTER_MS = 2_000;

/** What is kept: a revision of etcd, and everything that it held. */
export interface KeptMesh {
  readonly revision: number;
  /** Wall clock, ms: when etcd was known to hold this. */
  readonly savedAtMs: number;
  readonly pairs: readonly (readonly [key: string, value: string])[];
}

export interface MeshKeeperOptions {
  readonly folder: string;
  /** URL of the mesh, without credentials: what is kept of another one is of no use. */
  readonly mesh: string;
  readonly clock: Clock;
  readonly log: Log;
}

export class MeshKeeper {
  readonly #options: MeshKeeperOptions;
  readonly #path: string;
  #timer: Timer | undefined;
  #next: (() => Omit<KeptMesh, "savedAtMs">) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(options: MeshKeeperOptions) {
    this.#options = options;
    this.#path = join(options.folder, FILE);
  }

  /** What was kept; undefined where there is nothing, or nothing that can be trusted, which is logged. */
  async read(): Promise<KeptMesh | undefined> {
    let problem: string;
    try {
      const found = parseKept(await readFile(this.#path, "utf8"), this.#options.mesh);
      if (typeof found !== "string") return found;
      problem = found;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      problem = messageOf(error);
    }
    this.#options.log.warn({ path: this.#path }, `the kept mesh is ignored: ${problem}`);
    return undefined;
  }

  /** What was kept, once etcd was `missed` or is slow to answer; undefined where there is none or it `isNeeded` not. */
  async await(missed: AbortSignal, isNeeded: () => boolean): Promise<KeptMesh | undefined> {
    const { clock, log } = this.#options;
    const kept = await this.read();
    if (kept === undefined) return undefined;
    await clock.sleep(USE_AFTER_MS, missed);
    if (!isNeeded()) return undefined;
    const { revision, savedAtMs, pairs } = kept;
    const fields = { path: this.#path, revision, savedAt: new Date(savedAtMs).toISOString(), keys: pairs.length };
    log.warn(fields, "etcd does not answer; the mesh is stale: what was kept of it is used until it does");
    return kept;
  }

  /** The mesh has changed; `read` is called when it is written. */
  changed(read: () => Omit<KeptMesh, "savedAtMs">): void {
    this.#next = read;
    this.#timer ??= this.#options.clock.after(WRITE_AFTER_MS, () => this.#flush());
  }

  /** Writes what is not written yet. */
  async stop(): Promise<void> {
    this.#timer?.cancel();
    this.#flush();
    await this.#writing;
  }

  #flush(): void {
    this.#timer = undefined;
    const next = this.#next;
    this.#next = undefined;
    if (next === undefined) return;
    const { mesh, clock } = this.#options;
    const text = JSON.stringify({ version: VERSION, mesh, savedAtMs: clock.wallMs(), ...next() });
    this.#writing = this.#writing.then(() => this.#write(text));
  }

  /** Whole or not at all: a crash between two steps leaves the old file. */
  async #write(text: string): Promise<void> {
    const { folder, log } = this.#options;
    try {
      await mkdir(folder, { recursive: true });
      const file = await open(`${this.#path}.new`, "w", OWNER_ONLY);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${this.#path}.new`, this.#path);
      this.#hasFailed = false;
    } catch (error) {
      // A full disk must not fill the log too.
      if (!this.#hasFailed) log.warn({ path: this.#path }, `the mesh cannot be kept: ${messageOf(error)}`);
      this.#hasFailed = true;
    }
  }
}

/** What a file holds, or what is wrong with it. */
export function parseKept(text: string, mesh: string): KeptMesh | string {
  let kept: Partial<Record<"version" | "mesh" | keyof KeptMesh, unknown>>;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return "it is no object";
    kept = value;
  } catch (error) {
    return `it is no JSON: ${messageOf(error)}`;
  }
  if (kept.version !== VERSION) return `its version is ${String(kept.version)}, not ${VERSION}`;
  if (kept.mesh !== mesh) return `it is of ${String(kept.mesh)}, not of ${mesh}`;
  const { revision, savedAtMs, pairs } = kept;
  const isWhole = Number.isSafeInteger(revision) && Number.isSafeInteger(savedAtMs) && isPairs(pairs);
  return isWhole ? (kept as KeptMesh) : "something in it is missing";
}

function isPairs(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  return value.every(
    (pair) => Array.isArray(pair) && pair.length === 2 && pair.every((one) => typeof one === "string"),
  );
}
