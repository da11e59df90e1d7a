// Goal: whatever servers do while requests are hedged, a POST is executed once at most, every client gets one whole
//       answer or a failure that says so, no hedge goes beyond the budget, and nothing stays counted.
// Method: thousands of requests in virtual time, over HTTP/1.1; four servers that answer late, fail, hang, refuse and
//         close by a seeded dice, and count what they execute. PILLION_FULL=1: twenty times as many.

import { expect, test } from "vitest";
import { SOCKET_REFUSED } from "../../../../assembly/abi/engine-records.ts";
import { PROCESS_CELLS, SERVICE_CELLS, SERVICE_HEDGE_CELLS } from "../../../../assembly/abi/metrics.ts";
import { HEDGE_NAMES } from "../../../../src/telemetry/index.ts";
import { Random } from "../../../fuzz/random.ts";
import { createWorld, type Wire, type World } from "../../../support/world.ts";

const REQUESTS = process.env.PILLION_FULL === "1" ? 60_000 : 3_000;
const BUDGET = 0.3;
const MESH = `
services:
  web:
    balance: {policy: random}
    hedge: {after: 6ms, budget: ${BUDGET}}
    outlier: none
    timeout: {request: 2s, attempt: 300ms}
    retry: {budget: {ratio: 1, minimumPerSecond: 1000}}
    instances:
      - {id: a, address: 10.0.0.1:80}
      - {id: b, address: 10.0.0.2:80}
      - {id: c, address: 10.0.0.3:80}
      - {id: d, address: 10.0.0.4:80}
`;

interface Due {
  readonly atUs: number;
  readonly act: () => void;
}

/** Four servers by dice. */
class Servers {
  readonly executions = new Map<string, number>();
  #due: Due[] = [];
  readonly #world: World;
  readonly #random: Random;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    world.onConnect = (wire) => this.#after(random.pick([0, 0, 1, 30]), () => this.#decide(wire));
  }

  /** Lets time pass by a millisecond and does what is due. */
  pass(): void {
    this.#world.pass(1);
    const now = this.#due.filter((one) => one.atUs <= this.#world.nowUs);
    this.#due = this.#due.filter((one) => one.atUs > this.#world.nowUs);
    for (const { act } of now) act();
  }

  #after(ms: number, act: () => void): void {
    this.#due.push({ atUs: this.#world.nowUs + ms * 1000, act });
  }

  #decide(wire: Wire): void {
    if (wire.closedBy !== undefined) return;
    if (this.#random.once(20)) {
      wire.destroy(SOCKET_REFUSED);
      return;
    }
    let text = "";
    wire.onBytes = (bytes) => {
      text += bytes.toString("latin1");
      const match = /^(\w+) \/(\d+) [\s\S]*?\r\n\r\n(body)?$/.exec(text);
      if (match === null || (match[1] !== "GET" && match[3] === undefined)) return;
      text = "";
      this.#serve(wire, match[2]!);
    };
    wire.connect();
  }

  #serve(wire: Wire, id: string): void {
    const dice = this.#random.below(100);
    const say = (ms: number, what: () => void) => this.#after(ms, () => wire.closedBy === undefined && what());
    const answer = `HTTP/1.1 200 OK\r\ncontent-length: ${id.length}\r\n\r\n${id}`;
    if (dice < 4) {
      say(1, () => wire.destroy()); // before it is executed
      return;
    }
    this.executions.set(id, (this.executions.get(id) ?? 0) + 1);
    if (dice < 8) say(this.#random.pick([1, 8, 12]), () => wire.destroy());
    else if (dice < 12)
      say(this.#random.pick([1, 9, 20]), () => wire.send("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"));
    else if (dice < 14)
      return; // never
    else if (dice < 30) say(this.#random.pick([7, 8, 9, 12, 16, 60, 299, 300]), () => wire.send(answer));
    else say(this.#random.pick([0, 1, 2]), () => wire.send(answer));
  }
}

test(`${REQUESTS} requests`, async () => {
  const world = await createWorld(MESH);
  const random = new Random(20_261_121);
  const servers = new Servers(world, random);
  const { index } = world.snapshot.services.find(({ name }) => name === "web")!;
  const outcomes = { whole: 0, told: 0, gone: 0 };
  const clients = Array.from({ length: 24 }, () => ({ wire: world.accept(), id: "", method: "" }));
  const read = (client: (typeof clients)[number]) => {
    const text = client.wire.text();
    if (text === "") return;
    const [, status = "", body = ""] = /^HTTP\/1\.1 (\d+) [\s\S]*?\r\n\r\n([\s\S]*)$/.exec(text) ?? [];
    if (status === "200") expect(body).toBe(client.id);
    if (status === "200" && client.method === "POST") expect(servers.executions.get(client.id)).toBe(1);
    outcomes[status === "200" ? "whole" : "told"] += 1;
    client.id = "";
    if (client.wire.closedBy !== undefined) client.wire = world.accept();
  };
  const posts = new Set<string>();
  for (let next = 0, idle = 0; idle < 3_000; ) {
    servers.pass();
    for (const client of clients) {
      if (client.id !== "") read(client);
      if (client.id !== "" && random.once(2_000)) {
        client.wire.destroy();
        Object.assign(client, { wire: world.accept(), id: "" });
        outcomes.gone += 1;
      }
      if (client.id !== "" || next === REQUESTS || !random.once(3)) continue;
      client.id = String(next);
      client.method = random.pick(["GET", "PUT", "POST"]);
      if (client.method === "POST") posts.add(client.id);
      const body = client.method === "GET" ? "\r\n" : "content-length: 4\r\n\r\nbody";
      client.wire.send(`${client.method} /${next} HTTP/1.1\r\nhost: web\r\n${body}`);
      next += 1;
    }
    idle = next === REQUESTS && clients.every(({ id }) => id === "") ? idle + 1 : 0;
  }
  expect(outcomes.whole + outcomes.told + outcomes.gone).toBe(REQUESTS);
  expect([...servers.executions].filter(([id, count]) => posts.has(id) && count > 1)).toEqual([]);
  const cell = PROCESS_CELLS + index * SERVICE_CELLS + SERVICE_HEDGE_CELLS;
  const results = HEDGE_NAMES.map((_, code) => world.balancer.counters.cellOf(cell + code));
  expect(results.every((count) => count > 0)).toBe(true); // else something was not tried
  expect(results.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(BUDGET * REQUESTS);
  expect(outcomes.told).toBeLessThan(REQUESTS / 10);
  expect(world.engine.exchangeCount()).toBe(0);
  for (const { slot } of world.snapshot.instances) {
    expect(world.balancer.gaugesOf(slot)).toMatchObject({ inflight: 0, pending: 0 });
  }
  for (const counter of [0, 1]) expect(world.balancer.countOf(index, counter)).toBe(0);
});
