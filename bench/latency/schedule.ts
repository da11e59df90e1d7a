// When requests are to be sent, and how long each took from that moment on.
//
// Open loop: the next request is due whether or not the last was answered, and a request that had to wait in the client
// (for a free connection, for a client that was busy) counts from when it was due. A closed loop would ask a slow proxy
// less and so hide its pauses ("coordinated omission").

import { quantileOf } from "../load/statistics.ts";

export interface Latencies {
  readonly requests: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly mostUs: number;
  /** How late the client itself was, 99 of 100 times at most: what the figures cannot be better than. */
  readonly ownP99Us: number;
}

/** A way of sending one request that was due at `dueMs`; it calls `done` when it is answered as it should be. */
export interface Sender {
  send(dueMs: number): void;
  /** Hands what was sent to the sockets; called once for each look at the clock. */
  flush(): void;
}

const ANSWER_TIMEOUT_MS = 10_000;

export class Schedule {
  readonly #took: Float64Array;
  readonly #late: Float64Array;
  readonly #periodMs: number;
  #sent = 0;
  #answered = 0;

  /** `rate` requests a second for `seconds`. */
  constructor(rate: number, seconds: number) {
    const requests = Math.round(rate * seconds);
    this.#took = new Float64Array(requests);
    this.#late = new Float64Array(requests);
    this.#periodMs = 1_000 / rate;
  }

  /** An answer came; `dueMs` is when its request should have been sent. */
  readonly done = (dueMs: number): void => {
    this.#took[this.#answered] = (performance.now() - dueMs) * 1_000;
    this.#answered += 1;
  };

  /** Sends everything in its time; rejects when answers stay out. Keeps one core busy, so as not to be late itself. */
  run(sender: Sender): Promise<Latencies> {
    const requests = this.#took.length;
    const startMs = performance.now() + 1;
    const endMs = startMs + requests * this.#periodMs + ANSWER_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const nowMs = performance.now();
        let dueMs = startMs + this.#sent * this.#periodMs;
        while (dueMs <= nowMs && this.#sent < requests) {
          this.#late[this.#sent] = (nowMs - dueMs) * 1_000;
          sender.send(dueMs);
          this.#sent += 1;
          dueMs = startMs + this.#sent * this.#periodMs;
        }
        sender.flush();
        if (this.#answered === requests) resolve(this.#latencies());
        else if (nowMs > endMs) reject(new Error(`${this.#answered} of ${requests} requests were answered`));
        else setImmediate(look);
      };
      look();
    });
  }

  #latencies(): Latencies {
    const took = this.#took.sort();
    return {
      requests: took.length,
      p50Us: quantileOf(took, 0.5),
      p99Us: quantileOf(took, 0.99),
      mostUs: took.at(-1) ?? Number.NaN,
      ownP99Us: quantileOf(this.#late.sort(), 0.99),
    };
  }
}
