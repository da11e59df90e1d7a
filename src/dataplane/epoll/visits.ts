// Two event loops in one thread: ours, and libuv's for everything that is not a cleartext socket (messages of the main
// thread, timers, name lookups, TLS).
//
//   libuv: timers ─► poll ─► check phase ─► our immediate ═► ours: wait ─► read ─► turn ─► wait … ═► back to libuv
//                                                             └─ libuv's epoll instance is one of the watched
//
// libuv's own epoll instance is nested in ours, so its events end our wait, and `uv_backend_timeout` says when its next
// timer is due, so that waiting in our loop is exactly as good as waiting in libuv's. Two details make that true:
//
// - An immediate keeps libuv from waiting, which shows as a timeout of 0. Ours is unref'd while we are in our loop.
// - libuv registers a descriptor with the kernel only as it polls. What callbacks of this visit began to watch is not
//   registered yet; so after a visit that brought events, libuv polls once more before we wait. What is begun on libuv
//   from within our loop needs a setImmediate beside it: then libuv is due at the end of the turn.

import type { Kernel } from "./system-calls.ts";

/** uv_metrics_t (uv.h): loop_count, events, events_waiting, and room for more. */
const METRICS_BYTES = 256;
const METRICS_EVENTS_WORD = 2;

export class Visits {
  /** libuv's epoll instance. */
  readonly descriptor: number;
  readonly #kernel: Kernel;
  readonly #run: () => void;
  readonly #metrics = new Uint32Array(METRICS_BYTES / Uint32Array.BYTES_PER_ELEMENT);
  readonly #metricsAddress: bigint;
  #events = -1;
  #wasBusy = true;
  #next: NodeJS.Immediate | undefined;

  /** `run` is called in each check phase: it begins, serves until `isDue`, and ends. */
  constructor(kernel: Kernel, run: () => void) {
    this.#kernel = kernel;
    this.#run = run;
    this.#metricsAddress = kernel.addressOf(this.#metrics);
    this.descriptor = kernel.calls.uv_backend_fd(kernel.loop);
    this.#next = setImmediate(run);
  }

  /** libuv has handed over. */
  begin(): void {
    this.#next = setImmediate(this.#run);
    this.#next.unref();
    this.#kernel.calls.uv_metrics_info(this.#kernel.loop, this.#metricsAddress);
    const events = this.#metrics[METRICS_EVENTS_WORD]!;
    this.#wasBusy = events !== this.#events;
    this.#events = events;
  }

  /** How long libuv can do without us, ms: 0 = it is due, -1 = until an event of its own. */
  timeoutMs(): number {
    if (this.#wasBusy) return 0;
    this.#kernel.calls.uv_update_time(this.#kernel.loop);
    return this.#kernel.calls.uv_backend_timeout(this.#kernel.loop);
  }

  /** Hands over to libuv, which polls without waiting and comes back. */
  end(): void {
    this.#next?.ref();
  }

  /** No further visits. */
  stop(): void {
    clearImmediate(this.#next);
    this.#next = undefined;
  }
}
