// The webhook's certificate: read from files, and read again when they change.
//
// cert-manager and Secrets swap files by renaming a link (`..data`) in their folder; so the folders are watched, and a
// slow look at the contents is the safety net. Half a pair (new certificate, old key) does not load: the last good one
// stays until both fit.

import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { createSecureContext } from "node:tls";
import { type Clock, messageOf, pillionError, type Timer } from "../base/index.ts";

export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface CertificateFilesOptions {
  readonly certPath: string;
  readonly keyPath: string;
  readonly clock: Clock;
  /** Called with each new pair that fits, not with the first. */
  readonly changed: (certificate: Certificate) => void;
  /** Called when files that changed do not make a pair. */
  readonly refused: (problem: string) => void;
}

/** Events come in bursts; a pair is written within this time. */
const SETTLE_MS = 100;
/** Where events do not arrive (some network file systems). */
const LOOK_MS = 30_000;

export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  readonly #watchers: FSWatcher[] = [];
  #digest = "";
  #refusedDigest = "";
  #settle: Timer | undefined;
  #looks: Timer | undefined;

  constructor(options: CertificateFilesOptions) {
    this.#options = options;
  }

  /** Reads the pair and watches it; throws PILLION_FILE_READ or PILLION_USAGE when there is no good one. */
  async start(): Promise<Certificate> {
    const { certPath, keyPath, clock } = this.#options;
    const certificate = await this.#read();
    const problem = problemOf(certificate);
    if (problem !== undefined) throw pillionError("PILLION_USAGE", { problem: `${certPath}, ${keyPath}: ${problem}` });
    this.#digest = digestOf(certificate);
    for (const folder of new Set([dirname(certPath), dirname(keyPath)])) {
      this.#watchers.push(watch(folder, { persistent: false }, () => this.#look()));
    }
    this.#looks = clock.every(LOOK_MS, () => this.#look());
    return certificate;
  }

  stop(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#settle?.cancel();
    this.#looks?.cancel();
  }

  #look(): void {
    this.#settle?.cancel();
    this.#settle = this.#options.clock.after(SETTLE_MS, () => void this.#readAgain());
  }

  async #readAgain(): Promise<void> {
    try {
      const certificate = await this.#read();
      const digest = digestOf(certificate);
      if (digest === this.#digest || digest === this.#refusedDigest) return;
      const problem = problemOf(certificate);
      if (problem !== undefined) {
        this.#refusedDigest = digest;
        this.#options.refused(problem);
        return;
      }
      this.#digest = digest;
      this.#options.changed(certificate);
    } catch (error) {
      this.#options.refused(messageOf(error));
    }
  }

  async #read(): Promise<Certificate> {
    const [cert, key] = await Promise.all([this.#options.certPath, this.#options.keyPath].map(readPart));
    return { cert: cert ?? Buffer.alloc(0), key: key ?? Buffer.alloc(0) };
  }
}

async function readPart(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw pillionError("PILLION_FILE_READ", { path, problem: messageOf(error) }, error);
  }
}

function problemOf(certificate: Certificate): string | undefined {
  try {
    createSecureContext(certificate);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function digestOf({ cert, key }: Certificate): string {
  return createHash("sha256").update(cert).update("\0").update(key).digest("hex");
}
