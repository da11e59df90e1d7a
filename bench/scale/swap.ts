// What a change of a large mesh costs, call by call, on the main thread and on a worker.

import type { Documents } from "../../src/config/index.ts";
import { parseMesh } from "../../test/support/route-engine.ts";
import { BenchEngine } from "../micro/engine.ts";
import { MANY } from "./meshes.ts";

export interface CallRow {
  readonly name: string;
  /** On a data-plane worker; else on the main thread, where no request waits for it. */
  readonly isOnWorker: boolean;
  readonly count: number;
  readonly mostMs: number;
}

export interface SwapRow {
  readonly change: string;
  /** Longest first. */
  readonly calls: readonly CallRow[];
}

/** Each change is made so often; the longest call of the quietest time counts, for others may use the machine too. */
const REPEATS = 3;
const POLICIES = ["adaptive", "maglev", "ring-hash"] as const;

interface Shape {
  readonly instances: number;
  readonly routes: number;
  readonly policy: (typeof POLICIES)[number];
  /** Moves the addresses of so many instances. */
  readonly moved?: number;
  /** Moves the path of one route. */
  readonly variant?: number;
}

function writeMesh({ instances, routes, policy, moved = 0, variant = 0 }: Shape): Documents {
  const addressOf = (index: number) => `10.${index < moved ? 1 : 0}.${index >> 8}.${index & 255}:80`;
  const hash = policy === "adaptive" ? {} : { hash: { path: true } };
  const rules = Array.from({ length: routes }, (_, index) => ({
    match: { path: { prefix: `/api/v1/resource${index}${index === 0 ? `-${variant}` : ""}` } },
    to: [{ service: "crowd" }],
  }));
  const all = Array.from({ length: instances }, (_, index) => [`i${index}`, { address: addressOf(index) }] as const);
  return parseMesh({
    services: { crowd: { protocol: "http2", balance: { policy, ...hash } } },
    instances: { crowd: Object.fromEntries(all) },
    routes: { all: { hosts: ["crowd"], rules } },
  });
}

/** The changes: one route, one instance, half of the instances, a growth from small, and back. */
export function measureSwaps(note: (change: string) => void): SwapRow[] {
  return POLICIES.flatMap((policy) => {
    const large: Shape = { instances: MANY, routes: MANY, policy };
    const small: Shape = { instances: 3, routes: 3, policy };
    const changes: [name: string, from: Shape, to: Shape][] = [
      ["3 to 10,000 instances and routes", small, large],
      ["one route of 10,000", large, { ...large, variant: 1 }],
      ["one instance of 10,000", large, { ...large, moved: 1 }],
      ["half of 10,000 instances", large, { ...large, moved: MANY / 2 }],
      ["10,000 to 3 instances and routes", large, small],
    ];
    const wanted = policy === "adaptive" ? changes : changes.filter(([, , to]) => to.moved === 1);
    return wanted.map(([name, from, to]) => {
      const change = `${name}, ${policy}`;
      note(change);
      return { change, calls: measureChange(from, to) };
    });
  });
}

function measureChange(from: Shape, to: Shape): CallRow[] {
  const quietest = new Map<string, { count: number; mostMs: number }>();
  const engine = new BenchEngine();
  const [before, after] = [writeMesh(from), writeMesh(to)];
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    engine.load(before, 2 * repeat + 1);
    engine.calls.clear();
    engine.load(after, 2 * repeat + 2);
    for (const [name, { count, mostUs }] of engine.calls) {
      const mostMs = Math.min(mostUs / 1_000, quietest.get(name)?.mostMs ?? Number.POSITIVE_INFINITY);
      quietest.set(name, { count, mostMs });
    }
  }
  const mark = " (main thread)";
  const rows = [...quietest].map(([name, times]) => ({
    name: name.replace(mark, ""),
    isOnWorker: !name.endsWith(mark),
    ...times,
  }));
  return rows.sort((left, right) => right.mostMs - left.mostMs);
}
