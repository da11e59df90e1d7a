// Notices saves of one file, and reads it only when it is whole.
//
// An editor renames a new file over the old one, `kubectl` swaps the `..data` link beside it, a shell truncates and
// writes: so it is the directory that is watched, and what counts is whether the file behind the name has another
// inode, size or time. A writer may be in the middle of its work, therefore the three must have been still for 20 ms,
// and must be the same after reading as before. Notices can be lost (network file systems, exhausted inotify watches),
// so a stat every half a second finds what they missed.

import type { BigIntStats, FSWatcher } from "node:fs";
import { statSync, watch } from "node:fs";
import { readFile, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type Clock, messageOf, type Timer } from "../../base/index.ts";

/** DESIGN §3: half of all prefixes of a small mesh.yaml parse, so a half-written one must not be read. */
const STILL_MS = 20;
/** Finds what notices missed; two stat calls a second cost nothing. */
const POLL_MS = 500;

export interface FileWatchOptions {
  readonly path: string;
  readonly clock: Clock;
  /** A whole text that differs from the one before. */
  readonly onText: (text: string) => void;
  /** The file cannot be read; once per change of the problem. */
  readonly onProblem: (problem: string) => void;
}

export interface FileWatch {
  stop(): void;
}

/** Starts watching; the first text or problem follows soon. */
export function watchFile(options: FileWatchOptions): FileWatch {
  return new FileWatcher(options);
}

/** What the file was like, and when it was seen so first. */
interface Look {
  readonly signature: string;
  readonly atMs: number;
}

class FileWatcher implements FileWatch {
  readonly #options: FileWatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #poll: Timer;
  #isStopped = false;
  #isReading = false;
  /** A notice came while reading. */
  #isStale = false;
  #seen = "";
  /** Of the constructor, for the first reading: a start is busy, and what it does counts into the stillness. */
  #first: Look | undefined;
  #text: string | undefined;
  #problem: string | undefined;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    try {
      this.#first = this.#look(statSync(options.path, { bigint: true }));
    } catch {
      // The first reading will say why.
    }
    this.#poll = options.clock.every(POLL_MS, () => this.#notice());
    this.#notice();
  }

  stop(): void {
    this.#isStopped = true;
    this.#poll.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #notice(): void {
    this.#isStale = true;
    if (this.#isReading) return;
    this.#isReading = true;
    void this.#readUntilFresh().finally(() => {
      this.#isReading = false;
    });
  }

  async #readUntilFresh(): Promise<void> {
    while (this.#isStale && !this.#isStopped) {
      this.#isStale = false;
      try {
        await this.#watchDirectories();
        await this.#readIfChanged();
      } catch (error) {
        this.#seen = "";
        this.#tellProblem(problemOf(error, this.#options.path));
      }
    }
  }

  async #readIfChanged(): Promise<void> {
    const { path, clock } = this.#options;
    let before = this.#first ?? this.#look(await stat(path, { bigint: true }));
    this.#first = undefined;
    if (before.signature === this.#seen) return;
    for (;;) {
      await clock.sleep(Math.max(0, before.atMs + STILL_MS - clock.nowMs()));
      if (this.#isStopped) return;
      const after = this.#look(await stat(path, { bigint: true }));
      if (after.signature === before.signature) {
        const text = await readFile(path, "utf8");
        if (signatureOf(await stat(path, { bigint: true })) === after.signature) {
          this.#tellText(after.signature, text);
          return;
        }
      }
      before = after;
    }
  }

  #look(stats: BigIntStats): Look {
    return { signature: signatureOf(stats), atMs: this.#options.clock.nowMs() };
  }

  #tellText(signature: string, text: string): void {
    const isNews = text !== this.#text || this.#problem !== undefined;
    this.#seen = signature;
    this.#text = text;
    this.#problem = undefined;
    if (isNews && !this.#isStopped) this.#options.onText(text);
  }

  #tellProblem(problem: string): void {
    if (this.#isStopped || problem === this.#problem) return;
    this.#problem = problem;
    this.#options.onProblem(problem);
  }

  /** Watches the directory of the name and, behind a link, that of the file. */
  async #watchDirectories(): Promise<void> {
    const { path } = this.#options;
    const wanted = new Set([dirname(path)]);
    const target = await realpath(path).catch(() => undefined);
    if (target !== undefined) wanted.add(dirname(target));
    for (const [directory, watcher] of this.#watchers) {
      if (wanted.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    for (const directory of wanted) {
      if (this.#watchers.has(directory) || this.#isStopped) continue;
      const watcher = tryWatch(directory, () => this.#notice());
      if (watcher === undefined) continue;
      // A directory that goes away ends its watcher; the poll makes a new one when it is back.
      watcher.on("error", () => this.#drop(directory));
      watcher.on("close", () => this.#watchers.delete(directory));
      this.#watchers.set(directory, watcher);
    }
  }

  #drop(directory: string): void {
    this.#watchers.get(directory)?.close();
    this.#watchers.delete(directory);
  }
}

/** A watcher, or `undefined` where the system has none left: then the poll alone finds changes. */
function tryWatch(directory: string, notice: () => void): FSWatcher | undefined {
  try {
    return watch(directory, { persistent: false }, notice);
  } catch {
    return undefined;
  }
}

/** What an operator can act on, for what happens often. */
function problemOf(error: unknown, path: string): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return `there is no file ${path}; it is read as soon as there is (--mesh names it)`;
  if (code === "EACCES") return `${path} may not be read by this user`;
  return messageOf(error);
}

function signatureOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}
