// Somebody honest: 200 requests a second on a connection of its own; none may fail.

import { createClient } from "../../support/foreign-clients.ts";

const PACE_MS = 5;

/** Times of answers, milliseconds. */
export interface Lap {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

export interface Bystander extends AsyncDisposable {
  readonly failures: readonly string[];
  /** What was answered since the given mark; marks count answers. */
  since(mark: number): Lap;
  readonly mark: number;
}

export function startBystander(address: string, host: string): Bystander {
  const client = createClient("http2", address);
  const failures: string[] = [];
  const times: number[] = [];
  const pending = new Set<Promise<void>>();
  const ask = async () => {
    const start = performance.now();
    try {
      const { status } = await client.send({ host, path: "/status/200" });
      if (status === 200) times.push(performance.now() - start);
      else failures.push(`${status}`);
    } catch (error) {
      failures.push(String(error));
    }
  };
  const timer = setInterval(() => {
    const one = ask();
    pending.add(one);
    void one.then(() => pending.delete(one));
  }, PACE_MS);
  return {
    failures,
    get mark() {
      return times.length;
    },
    since(mark) {
      const sorted = times.slice(mark).sort((a, b) => a - b);
      const at = (share: number) => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 10) / 10;
      return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await Promise.all(pending);
      await client.close();
    },
  };
}
