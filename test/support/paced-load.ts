// Load at a rate, over HTTP/1.1, HTTP/2 and gRPC at once: requests leave when they are due, whatever became of those
// before them, as from many users. Every failure is kept, with when its request was sent.

import { createClient } from "./foreign-clients.ts";
import { createGrpcClient } from "./foreign-grpc.ts";
import { waitUntil } from "./process.ts";

/** Between two looks at what is due. */
const TICK_MS = 10;

export interface PacedLoadOptions {
  /** An outbound. */
  readonly address: string;
  readonly service: string;
  /** Of all kinds together. */
  readonly perSecond: number;
}

export interface Failure {
  readonly kind: string;
  readonly text: string;
  /** `performance.now()` when it was sent. */
  readonly sentMs: number;
}

export interface PacedLoad {
  /** Answers with status 200 (gRPC: 0), by kind. */
  readonly answers: Readonly<Record<string, number>>;
  /** Answers by instance, of those kinds that say so. */
  readonly shares: Readonly<Record<string, number>>;
  readonly failures: Failure[];
  /** Resolves after `count` more requests have ended. */
  ended(count: number): Promise<void>;
  /** Resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/** What one request came to: the instance that answered, or how it failed. */
type Outcome = { readonly instance?: string } | { readonly failure: string };

/** Starts sending the kinds in turn. */
export function startPacedLoad({ address, service, perSecond }: PacedLoadOptions): PacedLoad {
  const http1 = createClient("http1", address);
  const http2 = createClient("http2", address);
  const grpc = createGrpcClient(address, service);
  const http = (client: typeof http1, method: string) => async (): Promise<Outcome> => {
    const body = method === "GET" ? {} : { body: "some words" };
    const { status, headers, body: text } = await client.send({ host: service, path: "/", method, ...body });
    if (status !== 200) return { failure: `${status} ${headers["x-pillion-reason"]} ${text}` };
    return { instance: headers["x-instance"] ?? "none" };
  };
  const unary = async (): Promise<Outcome> => {
    const { code, details } = await grpc.unary("a message");
    return code === 0 ? {} : { failure: `${code} ${details}` };
  };
  const kinds: readonly (readonly [string, () => Promise<Outcome>])[] = [
    ["http1 GET", http(http1, "GET")],
    ["http2 GET", http(http2, "GET")],
    ["gRPC", unary],
    ["http1 POST", http(http1, "POST")],
    ["http2 POST", http(http2, "POST")],
    ["gRPC", unary],
  ];
  const answers: Record<string, number> = {};
  const shares: Record<string, number> = {};
  const failures: Failure[] = [];
  const underWay = new Set<Promise<void>>();
  let done = 0;
  const send = async (kind: string, once: () => Promise<Outcome>) => {
    const sentMs = performance.now();
    const outcome = await once().catch((error: unknown): Outcome => ({ failure: String(error) }));
    done += 1;
    if ("failure" in outcome) return void failures.push({ kind, text: outcome.failure, sentMs });
    answers[kind] = (answers[kind] ?? 0) + 1;
    if (outcome.instance !== undefined) shares[outcome.instance] = (shares[outcome.instance] ?? 0) + 1;
  };
  let lastMs = performance.now();
  let due = 0;
  let sent = 0;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    // What a pause of this process made late is left out: a burst is another test.
    due += Math.min(nowMs - lastMs, 5 * TICK_MS) * (perSecond / 1000);
    for (lastMs = nowMs; due >= 1; due -= 1) {
      const [kind, once] = kinds[sent++ % kinds.length] ?? kinds[0] ?? ["", unary];
      const request = send(kind, once).finally(() => underWay.delete(request));
      underWay.add(request);
    }
  }, TICK_MS);
  return {
    answers,
    shares,
    failures,
    ended(count) {
      const target = done + count;
      return waitUntil(`${count} more requests have ended`, () => done >= target, 60_000);
    },
    async stop() {
      clearInterval(timer);
      while (underWay.size > 0) await Promise.all(underWay);
      await http1.close();
      await http2.close();
      grpc.close();
    },
  };
}
