// Log entries on their way to the main thread: one message for each turn, and a bound on what is under way.
//
// The engine's entries hold only until its next call, so they are copied once, each behind its length. When the main
// thread does not take them as fast as they come, further ones are dropped and counted: a log never makes a request
// wait (DESIGN §2 rule 14).

/** Under way to the main thread at most; some 10,000 lines. */
const OUTSTANDING_BYTES_MAX = 4 * 1024 * 1024;
/** A batch is sent when it is this full, or at the end of the turn. */
const BATCH_BYTES = 64 * 1024;

export class LogBatch {
  readonly #send: (bytes: Uint8Array) => void;
  #batch = new Uint8Array(BATCH_BYTES);
  #length = 0;
  #outstanding = 0;
  #drops = 0;

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** Entries that were dropped. */
  get drops(): number {
    return this.#drops;
  }

  /** Copies an entry; the caller may reuse its bytes. `flag` is kept in the word before it. */
  write(entry: Uint8Array, flag = 0): void {
    const needed = 4 + entry.length;
    if (this.#outstanding + this.#length + needed > OUTSTANDING_BYTES_MAX) {
      this.#drops += 1;
      return;
    }
    if (this.#length + needed > this.#batch.length) {
      this.flush();
      if (needed > this.#batch.length) this.#batch = new Uint8Array(needed);
    }
    new DataView(this.#batch.buffer).setUint32(this.#length, entry.length + flag, true);
    this.#batch.set(entry, this.#length + 4);
    this.#length += needed;
  }

  /** Sends what is there. */
  flush(): void {
    if (this.#length === 0) return;
    const bytes = this.#batch.slice(0, this.#length);
    this.#outstanding += bytes.length;
    this.#length = 0;
    this.#send(bytes);
  }

  /** The main thread has taken that many bytes. */
  taken(bytes: number): void {
    this.#outstanding -= bytes;
  }
}
