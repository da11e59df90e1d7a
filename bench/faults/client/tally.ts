// What a client saw of its requests: when each was due, how it ended, how long it took from when it was due.
//
// Every request is a success (200, the whole body, its own) or a failure with a kind. A failure's time is until it was
// seen; who waited longer than PATIENCE_MS gives up, as apps do.

import { quantileOf } from "../../load/statistics.ts";
import { BODY_BYTES, bodyOf } from "../upstream/conversation.ts";

/** A caller's own timeout. */
export const PATIENCE_MS = 5_000;

export interface Summary {
  readonly requests: number;
  readonly failures: number;
  /** Failures by kind and method, `POST 503`, `GET broken`. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
}

export interface Call {
  readonly id: number;
  readonly method: "GET" | "POST";
  readonly dueMs: number;
}

export class Tally {
  readonly #open = new Map<number, Call>();
  readonly #tookMs: number[] = [];
  readonly #kinds = new Map<string, number>();
  /** Called with the call that its caller gave up on. */
  onGivenUp: (call: Call) => void = () => {};

  begin(call: Call): void {
    this.#open.set(call.id, call);
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** An answer came whole: status and body. */
  answer(id: number, status: number, body: string): void {
    if (status !== 200) this.fail(id, `${status}`);
    else if (body.length !== BODY_BYTES || body !== bodyOf(id)) this.fail(id, "wrong");
    else this.#end(id, undefined);
  }

  fail(id: number, kind: string): void {
    this.#end(id, kind);
  }

  /** Gives up on what is older than a caller's patience. */
  giveUp(nowMs: number): void {
    for (const call of this.#open.values()) {
      if (nowMs - call.dueMs < PATIENCE_MS) return; // in the order of their time
      this.#end(call.id, "timeout");
      this.onGivenUp(call);
    }
  }

  summarize(): Summary {
    const took = Float64Array.from(this.#tookMs).sort();
    const kinds = Object.fromEntries([...this.#kinds].sort(([a], [b]) => (a < b ? -1 : 1)));
    return {
      requests: took.length,
      failures: [...this.#kinds.values()].reduce((sum, count) => sum + count, 0),
      kinds,
      p50Ms: quantileOf(took, 0.5),
      p99Ms: quantileOf(took, 0.99),
      mostMs: took.at(-1) ?? 0,
    };
  }

  #end(id: number, kind: string | undefined): void {
    const call = this.#open.get(id);
    if (call === undefined) return;
    this.#open.delete(id);
    this.#tookMs.push(performance.now() - call.dueMs);
    if (kind === undefined) return;
    const key = `${call.method} ${kind}`;
    this.#kinds.set(key, (this.#kinds.get(key) ?? 0) + 1);
  }
}
