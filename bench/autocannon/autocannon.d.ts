// What the bench uses of autocannon 9, which brings no types.

declare module "autocannon" {
  import type { EventEmitter } from "node:events";

  interface Options {
    readonly url: string;
    readonly connections: number;
    /** Requests in all; else `duration`. */
    readonly amount?: number;
    /** Seconds. */
    readonly duration?: number;
    readonly headers?: Record<string, string>;
    readonly method?: string;
    readonly body?: string;
    /** Seconds. */
    readonly timeout?: number;
  }

  interface Result {
    readonly errors: number;
    readonly timeouts: number;
    readonly "2xx": number;
    readonly non2xx: number;
  }

  interface Instance extends EventEmitter, PromiseLike<Result> {
    on(
      event: "response",
      listener: (client: EventEmitter, status: number, bytes: number, tookMs: number) => void,
    ): this;
  }

  export default function autocannon(options: Options): Instance;
}
