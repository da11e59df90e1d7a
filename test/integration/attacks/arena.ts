// Where attacks happen: one sidecar with one worker, so that the bystander shares everything with the attackers;
// honest apps; and for each attack by an app a service of its own.
//
//   web    HTTP/1.1, the bystander's     web2   HTTP/2, the attackers'
//   aside  HTTP/1.1, of those attackers who want an answer: web2 may itself end connections full of resets

import { expect } from "vitest";
import { PEER_BUDGET_FACTOR } from "../../../assembly/abi/limits.ts";
import { startServer, startTcpServer } from "../../support/foreign-servers.ts";
import { forgetPeak, peakResidentBytes, waitUntil } from "../../support/process.ts";
import { createMesh, type Sidecar, startSidecar } from "../../support/sidecar.ts";
import type { Attack } from "./attack.ts";
import { type Bystander, type Lap, startBystander } from "./bystander.ts";
import { Peer, type PeerOptions, PILLION } from "./peer.ts";

/** For one attack; for all that run at once, twice as much. */
const GROWTH_BYTES_MAX = 64 * 2 ** 20;
/** Answers of the bystander before any attack: one second of them. */
const QUIET_COUNT = 200;
const DECLARATION = [[PILLION, 1]] as const;

export interface ArenaOptions {
  /** Attacks run one after another, each to its full length, and each may take its bound of memory. */
  readonly isAlone: boolean;
  /** Every HTTP/2 attacker says that it is Pillion, which gives it budgets sixteen times as wide. */
  readonly isDeclared?: boolean;
}

/** What an attack cost. */
export interface Cost {
  /** Resident memory at its worst moment, above what it was before, bytes. */
  readonly growth: number;
  readonly seconds: number;
  /** Of the glitches that its entry names. */
  readonly glitches: number;
}

export interface Arena extends AsyncDisposable {
  readonly sidecar: Sidecar;
  /** How much longer attacks are that could be shorter. */
  readonly volume: number;
  /** How much wider budgets are than those of a stranger, and with them what has to be done to use them up. */
  readonly width: number;
  /** The bystander before any attack. */
  readonly quiet: Lap;
  open(options?: PeerOptions): Promise<Peer>;
  /** Requests of a service that are under way. */
  inFlight(service: string): Promise<number>;
  /** The bystander since the attacks began. */
  lap(): Lap;
  /** Since then memory has grown by no more than one attack may take. */
  checkMemory(residentBefore: number): void;
  /** Carries one attack out and judges what every attack is judged by. */
  face(attack: Attack): Promise<Cost>;
}

export async function createArena(attacks: readonly Attack[], options: ArenaOptions): Promise<Arena> {
  const { isAlone, isDeclared = false } = options;
  const declared = isDeclared ? DECLARATION : [];
  const stack = new AsyncDisposableStack();
  const [web, web2] = [stack.use(await startServer("http1")), stack.use(await startServer("http2"))];
  const instances = (address: string) => [{ id: "a", address }];
  const limits = { requests: 100_000, pending: 100_000 };
  const services: Record<string, unknown> = {
    web: { instances: instances(web.address) },
    web2: { protocol: "http2", limits, instances: instances(web2.address) },
    aside: { instances: instances(web.address) },
  };
  const hosts = new Map<Attack, string>();
  for (const attack of attacks.filter(({ app }) => app !== undefined)) {
    const { protocol, serve } = attack.app!;
    const server = stack.use(await startTcpServer((socket) => serve(socket, declared)));
    const host = `hostile-${hosts.size}`;
    hosts.set(attack, host);
    const isH2 = protocol === "http2" ? { protocol } : {};
    services[host] = { ...isH2, retry: { attempts: 0 }, instances: instances(server.address) };
  }
  const mesh = stack.use(createMesh({ services }));
  const sidecar = stack.use(await startSidecar({ mesh, flags: ["--workers", "1"] }));
  const bystander = stack.use(startBystander(sidecar.outbound, "web"));
  await waitUntil("the bystander is served", () => bystander.mark >= QUIET_COUNT);
  const { mark } = bystander;
  const growthMax = GROWTH_BYTES_MAX * (isAlone ? 1 : 2);
  const inFlight = async (service: string) => (await sidecar.metric("pillion_inflight", { service })) ?? 0;
  const arena: Arena = {
    sidecar,
    volume: isAlone ? 10 : 1,
    width: isDeclared ? PEER_BUDGET_FACTOR : 1,
    quiet: bystander.since(0),
    open: (how = {}) => Peer.open(sidecar.outbound, { ...how, settings: [...declared, ...(how.settings ?? [])] }),
    inFlight,
    lap: () => bystander.since(mark),
    checkMemory: (residentBefore) =>
      expect(peakResidentBytes(sidecar.program.pid) - residentBefore).toBeLessThan(growthMax),
    face: (attack) => face(arena, bystander, attack, hosts.get(attack) ?? ""),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return arena;
}

async function face(arena: Arena, bystander: Bystander, attack: Attack, host: string): Promise<Cost> {
  const { glitch, ends } = attack;
  const { sidecar } = arena;
  const kind = glitch ?? "";
  const count = async () => (await sidecar.metric("pillion_glitches_total", { kind })) ?? 0;
  const before = await count();
  const residentBefore = sidecar.residentBytes();
  forgetPeak(sidecar.program.pid);
  const start = performance.now();
  {
    using peer = await arena.open(attack.peer);
    await attack.run(peer, arena, host);
    if (ends === "bounded") await peer.beServed("aside");
    else await peer.beCutOff(ends);
  }
  const seconds = (performance.now() - start) / 1_000;
  expect(bystander.failures).toEqual([]);
  const growth = peakResidentBytes(sidecar.program.pid) - residentBefore;
  arena.checkMemory(residentBefore);
  if (glitch !== undefined) await waitUntil(`${kind} is counted`, async () => (await count()) > before);
  return { growth, seconds, glitches: glitch === undefined ? 0 : (await count()) - before };
}
