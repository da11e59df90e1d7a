// Where attacks happen: one sidecar with one worker, so that the bystander shares everything with the attackers;
// honest apps; and for each attack by an app a service of its own.
//
//   web    HTTP/1.1, the bystander's     web2   HTTP/2, the attackers'
//   aside  HTTP/1.1, of those attackers who want an answer: web2 may itself end connections full of resets

import { expect } from "vitest";
import { startServer, startTcpServer } from "../../support/foreign-servers.ts";
import { waitUntil } from "../../support/process.ts";
import { createMesh, type Sidecar, startSidecar } from "../../support/sidecar.ts";
import type { Attack } from "./attack.ts";
import { type Bystander, type Lap, startBystander } from "./bystander.ts";
import { Peer, type PeerOptions } from "./peer.ts";

const IS_FULL = process.env.PILLION_FULL === "1";
/** For one attack; for all that run at once, twice as much. */
const GROWTH_BYTES_MAX = (IS_FULL ? 64 : 128) * 2 ** 20;
/** Answers of the bystander before any attack: one second of them. */
const QUIET_COUNT = 200;

export interface Arena extends AsyncDisposable {
  readonly sidecar: Sidecar;
  /** How much longer attacks are that could be shorter. */
  readonly volume: number;
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
  face(attack: Attack): Promise<void>;
}

export async function createArena(attacks: readonly Attack[]): Promise<Arena> {
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
    const server = stack.use(await startTcpServer(serve));
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
  const inFlight = async (service: string) => (await sidecar.metric("pillion_inflight", { service })) ?? 0;
  const arena: Arena = {
    sidecar,
    volume: IS_FULL ? 10 : 1,
    quiet: bystander.since(0),
    open: (options) => Peer.open(sidecar.outbound, options),
    inFlight,
    lap: () => bystander.since(mark),
    checkMemory: (residentBefore) => expect(sidecar.residentBytes() - residentBefore).toBeLessThan(GROWTH_BYTES_MAX),
    face: (attack) => face(arena, bystander, attack, hosts.get(attack) ?? ""),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
  return arena;
}

async function face(arena: Arena, bystander: Bystander, attack: Attack, host: string): Promise<void> {
  const { glitch, ends } = attack;
  const kind = glitch ?? "";
  const count = async () => (await arena.sidecar.metric("pillion_glitches_total", { kind })) ?? 0;
  const before = await count();
  const residentBefore = arena.sidecar.residentBytes();
  using peer = await arena.open(attack.peer);
  await attack.run(peer, arena, host);
  if (ends === "bounded") await peer.beServed("aside");
  else await peer.beCutOff(ends);
  expect(bystander.failures).toEqual([]);
  arena.checkMemory(residentBefore);
  if (glitch !== undefined) await waitUntil(`${kind} is counted`, async () => (await count()) > before);
}
