// One whole conversation by seed: a mesh, clients, servers, time, and what must hold whatever they do.
//
//   clients (h1 | h2) ──► engine (debug build, in the virtual world of support/world.ts) ──► servers (h1 | h2 | raw)
//
// After every step: no trap, the engine rests, each of its connections has a socket. Whenever a peer reads: bodies are
// those of their messages (ledger.ts). At the end: nobody still waits, and everything was given back.

import { SOCKET_REFUSED, SOCKET_TIMEOUT } from "../../assembly/abi/engine-records.ts";
import { POISON, TableFull, type Wire, type World, type WorldMaker } from "../support/world.ts";
import { H1Client, H1Server, RawServer } from "./h1-peers.ts";
import { H2Client, H2Server } from "./h2-peers.ts";
import { forgetBodies, Ledger } from "./ledger.ts";
import type { Peer } from "./peer.ts";
import { Random } from "./random.ts";

const POISONED = Buffer.alloc(8, POISON);
const COUNTERS = 3;
const SLOTS = 8;
/** Longer than every timeout of the meshes below, backoffs and pending included. */
const PATIENCE_MS = 20_000;
/** Longer than any idle timeout of an upstream connection, and than a stalled one is borne. */
const LONG_MS = 400_000;

export interface Report {
  readonly asks: number;
  readonly whole: number;
  readonly executions: number;
  readonly steps: number;
}

export interface ConversationOptions {
  /** Changes one byte of every so-manieth delivery: the canary. */
  readonly corruptEvery?: number;
  /** Sockets that break are not reported to the engine: the other canary. */
  readonly forgetsCloses?: boolean;
}

/** Holds one conversation; throws when something is wrong. */
export function runConversation(make: WorldMaker, seed: number, options: ConversationOptions = {}): Report {
  forgetBodies();
  const conversation = new Conversation(make, new Random(seed), options);
  return conversation.run();
}

class Conversation {
  readonly #random: Random;
  readonly #world: World;
  readonly #ledger = new Ledger();
  readonly #clients: Peer[] = [];
  readonly #servers: Peer[] = [];
  /** Connects that nobody has decided on. */
  readonly #connects: { wire: Wire; sinceUs: number }[] = [];
  /** Open upstream wires whose protocol is not known yet. */
  readonly #fresh: Wire[] = [];
  readonly #isMirroring: boolean;
  /** Then time passes more often: that is what begins a second attempt. */
  readonly #isHedging: boolean;
  readonly #mesh: (present: readonly string[]) => string;
  readonly #corruptEvery: number;
  readonly #base: number;
  #present: readonly string[] = ["a", "b", "c"];
  /** Table records that are taken for good: there may be next to none left. */
  #hoarded = 0;
  readonly #isScarce: boolean;
  readonly #exchanges: number;
  readonly #streams: number;
  #deliveries = 0;
  #steps = 0;

  constructor(make: WorldMaker, random: Random, { corruptEvery = 0, forgetsCloses = false }: ConversationOptions) {
    this.#random = random;
    this.#corruptEvery = corruptEvery;
    this.#isHedging = random.once(3);
    this.#present = this.#present.slice(0, this.#isHedging ? 2 + random.below(2) : 1 + random.below(3));
    const rule = describeRule(random);
    this.#isMirroring = rule.includes("mirror");
    this.#mesh = describeMesh(random, rule, this.#isHedging);
    this.#world = make(this.#mesh(this.#present));
    this.#world.onConnect = (wire) => {
      this.#connects.push({ wire, sinceUs: this.#world.nowUs });
    };
    this.#world.poisons = true;
    const { engine } = this.#world;
    this.#isScarce = random.once(40); // rarely, for it costs a hundred others
    if (this.#isScarce) {
      this.#hoarded = engine.hoardTables(1 + random.below(8), 1 + random.below(8), 1 + random.below(6));
    }
    this.#exchanges = engine.exchangeCount();
    this.#streams = engine.streamCount();
    this.#base = engine.poolUsed();
    if (forgetsCloses) this.#world.isDeaf = true;
  }

  run(): Report {
    const steps = 60 + this.#random.below(240);
    for (let index = 0; index < steps; index += 1) {
      this.#step();
      this.#settle();
    }
    this.#end();
    const executions = this.#ledger.asks.reduce((sum, ask) => sum + ask.executions, 0);
    return { asks: this.#ledger.asks.length, whole: this.#ledger.whole, executions, steps: this.#steps };
  }

  #step(): void {
    this.#steps += 1;
    const random = this.#random;
    const clients = this.#clients.filter((one) => !one.isOver);
    const servers = this.#servers.filter((one) => !one.isOver);
    const dice = random.below(100);
    if (dice < 8 || clients.length === 0) {
      if (clients.length < 5) this.#connect();
    } else if (dice < 45) random.pick(clients).act();
    else if (dice < 60) this.#decide();
    else if (dice < (this.#isHedging ? 84 : 92)) {
      if (servers.length > 0) random.pick(servers).act();
    } else if (dice < 96) this.#pass(random.pick(this.#isHedging ? [2, 6, 10, 40] : [1, 10, 60, 300, 1_200]));
    else if (dice === 96) {
      this.#present = ["a", "b", "c"].filter(() => random.once(2));
      this.#world.load(this.#mesh(this.#present));
    } else if (dice === 98 && this.#isScarce) {
      if (random.once(3)) this.#world.engine.unhoardPool();
      else this.#world.engine.hoardPool(random.below(4));
    } else if (dice === 97 && random.once(6)) {
      this.#world.engine.drain(this.#world.nowUs);
      this.#world.turn();
    }
  }

  #connect(): void {
    let wire: Wire;
    try {
      wire = this.#world.accept();
    } catch (error) {
      if (error instanceof TableFull) return;
      throw error;
    }
    this.#watch(wire);
    const isH2 = this.#random.once(2);
    const client = isH2
      ? new H2Client(wire, this.#ledger, this.#random)
      : new H1Client(wire, this.#ledger, this.#random);
    this.#clients.push(client);
  }

  /** Lets a connect succeed, fail, or wait on. */
  #decide(): void {
    if (this.#connects.length === 0) return;
    const { wire } = this.#connects.splice(this.#random.below(this.#connects.length), 1)[0]!;
    if (this.#random.once(6)) wire.destroy(SOCKET_REFUSED);
    else this.#open(wire);
  }

  #open(wire: Wire): void {
    this.#watch(wire);
    this.#fresh.push(wire);
    wire.connect();
  }

  #watch(wire: Wire): void {
    wire.onBytes = checkPoison;
    if (this.#corruptEvery === 0) return;
    wire.corrupt = (bytes) => {
      this.#deliveries += 1;
      if (this.#deliveries % this.#corruptEvery !== 0) return bytes;
      const changed = Buffer.from(bytes);
      changed[changed.length - 1]! ^= 1;
      return changed;
    };
  }

  #pass(ms: number): void {
    for (let left = ms; left > 0; left -= 1_000) {
      this.#world.pass(Math.min(left, 1_000));
      for (const connect of [...this.#connects]) {
        if (this.#world.nowUs - connect.sinceUs < 1_000_000) continue;
        this.#connects.splice(this.#connects.indexOf(connect), 1);
        connect.wire.destroy(SOCKET_TIMEOUT);
      }
      this.#settle();
    }
  }

  /** Everybody reads; then the engine's connections are exactly the sockets that there are. */
  #settle(): void {
    for (let round = 0; round < 3; round += 1) {
      this.#recognize();
      for (const peer of [...this.#clients, ...this.#servers]) peer.listen();
    }
    const { engine, wires } = this.#world;
    const open = [...wires.values()].filter((wire) => wire.closedBy === undefined).length;
    if (engine.connectionCount() !== open + this.#hoarded) {
      throw new Error(`${engine.connectionCount() - this.#hoarded} connections, ${open} sockets`);
    }
  }

  /** The first bytes tell what a server is to speak. */
  #recognize(): void {
    for (const wire of [...this.#fresh]) {
      const isClosed = wire.closedBy !== undefined;
      const bytes = wire.inFlight === 0 || isClosed ? wire.read() : Buffer.alloc(0);
      if (bytes.length === 0 && !isClosed) continue;
      this.#fresh.splice(this.#fresh.indexOf(wire), 1);
      if (bytes.length === 0) continue;
      const text = bytes.subarray(0, 4).toString("latin1");
      const kind = text.startsWith("PRI ") ? H2Server : text[0] === "t" ? RawServer : H1Server;
      const server = new kind(wire, this.#ledger, this.#random);
      this.#servers.push(server);
      server.hear(bytes);
    }
  }

  #end(): void {
    this.#world.engine.unhoardPool();
    const mode = this.#random.below(3);
    // Copies have no client: they end by their answer, or by their time.
    for (const client of mode === 0 ? this.#clients : []) client.cut();
    if (this.#isMirroring) this.#pass(PATIENCE_MS);
    if (mode === 0) this.#endWithoutClients();
    else this.#finishRequests(mode === 1);
    for (const client of this.#clients) client.cut();
    if (this.#isMirroring) this.#pass(PATIENCE_MS);
    if (this.#world.engine.exchangeCount() !== this.#exchanges) throw new Error("exchanges without a client");
    for (const server of this.#servers) server.cut();
    for (const wire of this.#fresh) if (wire.closedBy === undefined) wire.destroy();
    for (const { wire } of this.#connects) wire.destroy(SOCKET_REFUSED);
    this.#pass(100);
    // Visits that were begun meanwhile; the next ones are some milliseconds away.
    for (const { wire } of this.#connects) if (wire.closedBy === undefined) wire.destroy(SOCKET_REFUSED);
    this.#checkRest();
  }

  /** Clients leave; servers stay as they are, stalled ones too: the engine has to rid itself of them. */
  #endWithoutClients(): void {
    for (const client of this.#clients) client.cut();
    if (this.#world.engine.exchangeCount() !== this.#exchanges) throw new Error("exchanges outlive their clients");
    this.#pass(2_000);
    this.#world.pass(LONG_MS);
    this.#pass(2_000);
    // Visits go on: connects that carry nothing, each given up within a second as all are here.
    const visits = this.#connects.filter(({ wire }) => wire.closedBy === undefined && !wire.isAsked).length;
    const left = this.#world.engine.connectionCount() - this.#hoarded - visits;
    if (left !== 0) throw new Error(`${left} upstream connections are never closed`);
  }

  /** Clients finish what they began, servers answer or vanish: every request has an end. */
  #finishRequests(servesOn: boolean): void {
    for (let round = 0; round < 40; round += 1) {
      while (this.#connects.length > 0) {
        const { wire } = this.#connects.shift()!;
        if (servesOn) this.#open(wire);
        else wire.destroy(SOCKET_REFUSED);
      }
      for (const server of this.#servers) {
        if (servesOn) server.complete();
        else server.cut();
      }
      if (!servesOn) for (const wire of this.#fresh) if (wire.closedBy === undefined) wire.destroy();
      for (const client of this.#clients) if (!client.isOver) client.complete();
      this.#settle();
      this.#pass(round % 8 === 7 ? 300 : 20);
    }
    this.#pass(PATIENCE_MS);
    const waiting = this.#ledger.asks.filter((ask) => ask.isSent && !ask.isGone && ask.outcome === undefined);
    const lost = waiting.filter((ask) => ask.method !== "UPGRADE" && ask.method !== "CONNECT");
    if (lost.length > 0) throw new Error(`nobody answers ${lost.map((ask) => `${ask.method} ${ask.id}`).join(", ")}`);
  }

  #checkRest(): void {
    const { engine, balancer, snapshot } = this.#world;
    const counts: Record<string, number> = {
      exchanges: engine.exchangeCount() - this.#exchanges,
      streams: engine.streamCount() - this.#streams,
      connections: engine.connectionCount() - this.#hoarded,
      pool: engine.poolUsed() - this.#base,
    };
    for (let slot = 0; slot < SLOTS; slot += 1) {
      for (const [name, value] of Object.entries(balancer.gaugesOf(slot))) counts[`${name} of ${slot}`] = value;
    }
    for (const service of snapshot.services) {
      for (let counter = 0; counter < COUNTERS; counter += 1) {
        counts[`counter ${counter}`] = balancer.countOf(service.index, counter);
      }
    }
    const wrong = Object.entries(counts).filter(([, value]) => value !== 0);
    if (wrong.length > 0) throw new Error(`not given back: ${wrong.map((entry) => entry.join(" ")).join(", ")}`);
  }
}

/** Released memory must never go out: no peer says this, and Huffman code makes it once in 2^64. */
function checkPoison(bytes: Buffer): void {
  const at = bytes.indexOf(POISONED);
  if (at >= 0) throw new Error(`poison at ${at} of ${JSON.stringify(bytes.subarray(0, at + 20).toString("latin1"))}`);
}

/** A mesh of one service with small limits and short times; which of its instances there are is said later. */
function describeMesh(random: Random, rule: string, isHedging: boolean): (present: readonly string[]) => string {
  const protocol = random.pick(["http", "http", "http2"]);
  const policy = random.pick(["round-robin", "random", "least-connections"]);
  const request = random.pick(["none", "none", "700ms"]);
  const attempt = random.pick(["auto", "200ms"]);
  const attempts = random.below(4);
  const hedge = isHedging ? random.pick(["{after: 1ms, budget: 1}", "{after: 30ms, budget: 0.5}"]) : "none";
  const bodyLimit = random.pick(["16B", "1KiB", "64KiB"]);
  const requests = random.pick([2, 6, 1024]);
  const connections = random.pick(isHedging ? [4, 1024] : [1, 2, 4, 1024]);
  const pending = random.pick([1, 3, 1024]);
  return (present) => `
services:
  web:
    protocol: ${protocol}
    balance: {policy: ${policy}}
    timeout: {connect: 1s, request: ${request}, attempt: ${attempt}, idle: 3s}
    retry: {attempts: ${attempts}, bodyLimit: ${bodyLimit}, budget: {ratio: 1, minimumPerSecond: 50}}
    hedge: ${hedge}
    limits: {connections: ${connections}, requests: ${requests}, pending: ${pending}, pendingTimeout: 400ms}
    instances: [${present.map((id, index) => `{id: ${id}, address: 10.0.0.${index + 1}:80}`).join(", ")}]
    ${random.once(6) ? "rateLimit: {requestsPerSecond: 5, burst: 10}" : ""}
  next:
    protocol: ${protocol}
    outlier: none
    instances: [{id: d, address: 10.0.0.11:80}]
routes:
  all: {hosts: [web], rules: [{to: [{service: web}]${rule}}]}
`;
}

/** What the one rule does besides sending to its service: often nothing. */
function describeRule(random: Random): string {
  const share = random.pick([0.3, 1]);
  const parts = [
    `, mirror: {service: next, share: ${share}}`,
    `, fault: {delay: {share: ${share}, duration: ${random.pick(["1ms", "250ms"])}}, abort: {share: 0.2, status: 418}}`,
    ", requestHeaders: {set: {x-edit: one}, remove: [x-late]}, responseHeaders: {add: {x-edit: two}}",
  ];
  return parts.filter(() => random.once(3)).join("");
}
