// The demo's steady traffic while somebody watches: each kind of call at its own pace, until it is stopped.
//
// Paces are low on purpose: fifteen processes share the host with whoever looks. A kind whose calls take longer than
// its period falls behind instead of piling up.

import { messageOf } from "../../base/index.ts";
import type { DemoClients } from "./clients.ts";

export interface Traffic {
  /** Calls that failed, and how the latest did. */
  readonly failed: number;
  readonly problem: string | undefined;
  /** Resolves once no call is under way. */
  stop(): Promise<void>;
}

/** Calls under way at once, of one kind. */
const CONCURRENCY = 4;

/** Starts sending. */
export function startTraffic(clients: DemoClients): Traffic {
  const kinds: readonly { readonly periodMs: number; readonly call: () => Promise<unknown> }[] = [
    { periodMs: 20, call: () => clients.sayHello("greeter") },
    { periodMs: 200, call: () => clients.streamHello() },
    { periodMs: 200, call: () => clients.chatHello() },
    { periodMs: 1000, call: () => clients.useAccount() },
    { periodMs: 25, call: () => clients.sendHttp1() },
    { periodMs: 25, call: () => clients.sendHttp2() },
  ];
  const seen: { failed: number; problem: string | undefined } = { failed: 0, problem: undefined };
  const underWay = new Set<Promise<void>>();
  let isStopped = false;
  const timers = kinds.map(({ periodMs, call }) => {
    let calls = 0;
    return setInterval(() => {
      if (calls >= CONCURRENCY) return;
      calls += 1;
      const finished = call()
        .then(
          () => undefined,
          (error: unknown) => {
            if (isStopped) return;
            seen.failed += 1;
            seen.problem = messageOf(error);
          },
        )
        .finally(() => {
          calls -= 1;
          underWay.delete(finished);
        });
      underWay.add(finished);
    }, periodMs);
  });
  return {
    get failed() {
      return seen.failed;
    },
    get problem() {
      return seen.problem;
    },
    async stop() {
      isStopped = true;
      for (const timer of timers) clearInterval(timer);
      await Promise.all(underWay);
    },
  };
}
