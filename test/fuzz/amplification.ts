// The worst conversations of each kind that a client can hold, for docs/AMPLIFICATION.md.

import { H1_NARROW_READ_BYTES, H2_PEER_STREAMS_MAX, H2_STREAMS_MAX } from "../../assembly/abi/limits.ts";
import { HpackModel } from "../models/hpack.ts";
import * as h2 from "../support/frames.ts";
import type { Meter } from "../support/meter.ts";

const WHOLE = h2.END_HEADERS | h2.END_STREAM;
const HTTP1 = "services: {web: {instances: [{id: a, address: 10.0.0.1:80}]}}";
const HTTP2 = "services: {web: {protocol: http2, instances: [{id: a, address: 10.0.0.1:80}]}}";

export interface Conversation {
  readonly name: string;
  readonly mesh: string;
  /** No request of it is ever whole. */
  readonly isHeadless?: boolean;
  /** Its client says that it is Pillion too, which gives it wider budgets. */
  readonly isDeclared?: boolean;
  /** Memory is filled with what an upstream says and the client does not take: flow control bounds it, not a ratio. */
  readonly isFedByUpstream?: boolean;
  /** Why it is above the bound, as long as it is. */
  readonly above?: string;
  hold(meter: Meter): void;
}

/** Requests in as few bytes as HPACK allows: everything that repeats is one byte. */
class Client {
  readonly #meter: Meter;
  readonly model = new HpackModel();
  #nextId = 1;

  constructor(meter: Meter, entries: readonly (readonly [number, number])[] = []) {
    this.#meter = meter;
    const declared = meter.isDeclared ? ([[0xf0f1, 1]] as const) : [];
    meter.send(Buffer.concat([h2.PREFACE, h2.settings([...declared, ...entries]), h2.settings([], h2.ACK)]));
  }

  /** `host` is "web" where it is served and "no" where nobody is. */
  request(method: "GET" | "POST", host: string, more: () => readonly number[] = () => [], flags = WHOLE): number {
    const block = [method === "GET" ? 0x82 : 0x83, 0x86, 0x84, ...this.field(":authority", host), ...more()];
    const id = this.#nextId;
    this.#nextId += 2;
    this.#meter.send(h2.frame(h2.HEADERS, flags, id, Buffer.from(block)));
    return id;
  }

  /** One byte where the table has it. */
  field(name: string, value: string): number[] {
    const rank = this.model.rows.findIndex((row) => row[0] === name && row[1] === value);
    if (rank >= 0) return this.model.encodeIndexed(62 + rank);
    return this.model.encodeLiteral("inserted", 0, [name, value], false);
  }
}

/** All streams that the client may have. */
function streamsOf({ isDeclared }: Meter): number {
  return isDeclared ? H2_PEER_STREAMS_MAX : H2_STREAMS_MAX;
}

/** Where nothing upstream ever answers, or even opens. */
function neverConnect(meter: Meter): void {
  meter.world.onConnect = () => {};
}

function times(count: number, action: (index: number) => void): void {
  for (let index = 0; index < count; index += 1) action(index);
}

function repeat(count: number, octets: () => readonly number[]): number[] {
  return Array.from({ length: count }, octets).flat();
}

const STRANGERS: readonly Conversation[] = [
  {
    name: "HTTP/1.1: one byte, then silence",
    mesh: HTTP1,
    isHeadless: true,
    hold: (meter) => void meter.send("G"),
  },
  {
    name: "HTTP/1.1: a head that never ends",
    mesh: HTTP1,
    isHeadless: true,
    hold(meter) {
      meter.send("GET / HTTP/1.1\r\nhost: web\r\n");
      times(4_000, (index) => meter.send(`x-${index}: ${"y".repeat(9)}\r\n`));
    },
  },
  {
    name: "HTTP/1.1: requests behind one that is not answered",
    mesh: HTTP1,
    hold: (meter) => times(4_000, () => meter.send("GET / HTTP/1.1\r\nhost: web\r\n\r\n")),
  },
  {
    name: "HTTP/1.1: a body in chunks of one byte",
    mesh: HTTP1,
    hold(meter) {
      neverConnect(meter);
      meter.send("POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n");
      times(4_000, () => meter.send("1\r\nx\r\n"));
    },
  },
  {
    name: "HTTP/1.1: small requests that Pillion answers itself",
    mesh: HTTP1,
    hold: (meter) => times(500, () => meter.send("GET / HTTP/1.1\r\nhost: no\r\n\r\n")),
  },
  {
    name: "HTTP/1.1: the same, and the answers are not read",
    mesh: HTTP1,
    hold(meter) {
      meter.wire.isStalled = true;
      times(20_000, () => meter.send("GET / HTTP/1.1\r\nhost: no\r\n\r\n"));
    },
  },
  {
    name: "HTTP/2: the preface, then silence",
    mesh: HTTP1,
    isHeadless: true,
    hold: (meter) => void meter.send(h2.PREFACE),
  },
  {
    name: "HTTP/2: a field block that never ends",
    mesh: HTTP1,
    isHeadless: true,
    hold(meter) {
      const client = new Client(meter);
      client.request("GET", "web", undefined, 0);
      times(9, () => meter.send(h2.frame(h2.CONTINUATION, 0, 1, Buffer.alloc(7_000, 0x82))));
    },
  },
  {
    name: "HTTP/2: PING, answers not read",
    mesh: HTTP1,
    isHeadless: true,
    hold(meter) {
      new Client(meter);
      meter.wire.isStalled = true;
      times(20_000, () => meter.send(h2.ping()));
    },
  },
  {
    name: "HTTP/2: SETTINGS, answers not read",
    mesh: HTTP1,
    isHeadless: true,
    hold(meter) {
      new Client(meter);
      meter.wire.isStalled = true;
      times(20_000, () => meter.send(h2.settings()));
    },
  },
  {
    name: "HTTP/2: malformed requests, resets not read",
    mesh: HTTP1,
    isHeadless: true,
    hold(meter) {
      const client = new Client(meter);
      meter.wire.isStalled = true;
      times(5_000, () => client.request("GET", "web", () => client.field("connection", "close")));
    },
  },
  {
    name: "HTTP/2: requests opened and reset",
    mesh: HTTP2,
    hold(meter) {
      const client = new Client(meter);
      client.request("GET", "web");
      meter.world.upstreams[0]!.send(h2.settings()); // nothing is sent on before it has spoken
      times(5_000, () => meter.send(h2.resetStream(client.request("GET", "web"), 8)));
    },
  },
  {
    name: "HTTP/2: small requests that wait",
    mesh: HTTP1,
    hold(meter) {
      neverConnect(meter);
      const client = new Client(meter);
      times(streamsOf(meter), () => client.request("GET", "web"));
    },
  },
  {
    name: "HTTP/2: requests with one byte of body that wait",
    mesh: HTTP1,
    hold(meter) {
      neverConnect(meter);
      const client = new Client(meter);
      times(streamsOf(meter), () => meter.send(h2.data(client.request("POST", "web", undefined, h2.END_HEADERS), "x")));
    },
  },
  {
    name: "HTTP/2: one table entry, named again and again (HPACK bomb)",
    mesh: HTTP1,
    hold(meter) {
      neverConnect(meter);
      const client = new Client(meter);
      const bomb = (count: number) => () => repeat(count, () => client.field("x-bomb", "b".repeat(3_900)));
      client.request("GET", "web", bomb(1));
      times(streamsOf(meter), () => client.request("GET", "web", bomb(14)));
    },
  },
  {
    name: "HTTP/2: cookie crumbs of one byte",
    mesh: HTTP1,
    hold(meter) {
      neverConnect(meter);
      const client = new Client(meter);
      const crumbs = (count: number) => () => repeat(count, () => client.field("cookie", "a"));
      client.request("GET", "web", crumbs(1));
      times(streamsOf(meter), () => client.request("GET", "web", crumbs(900)));
    },
  },
  {
    name: "HTTP/2: small requests that Pillion answers itself",
    mesh: HTTP1,
    hold(meter) {
      const client = new Client(meter);
      times(2_000, () => client.request("GET", "no"));
    },
  },
  {
    name: "HTTP/2: the same, and the answers are not read",
    mesh: HTTP1,
    hold(meter) {
      const client = new Client(meter);
      meter.wire.isStalled = true;
      times(20_000, () => client.request("GET", "no"));
    },
  },
  {
    name: "HTTP/2: the same, without a window for their bodies",
    mesh: HTTP1,
    hold(meter) {
      const client = new Client(meter, [[4, 0]]);
      times(20_000, () => client.request("GET", "no"));
    },
  },
  {
    name: "HTTP/2: large answers that are not read",
    mesh: HTTP2,
    isFedByUpstream: true,
    hold(meter) {
      const client = new Client(meter, [[4, 0]]);
      client.request("GET", "web");
      const [server] = meter.world.upstreams;
      server!.send(h2.settings([[3, 1_024]]));
      times(streamsOf(meter) - 1, () => client.request("GET", "web"));
      const piece = Buffer.alloc(13_107);
      for (let id = 1; id < 2 * streamsOf(meter); id += 2) {
        server!.send(h2.headers(id, [[":status", "200"]]));
        // No piece more: it would be an error of flow control, and cost the answer.
        times(5, () => server!.send(h2.data(id, piece)));
        meter.look();
      }
    },
  },
  {
    name: "HTTP/2: large answers of HTTP/1.1 that are not read",
    mesh: HTTP1,
    isFedByUpstream: true,
    hold(meter) {
      const client = new Client(meter, [[4, 0]]);
      times(streamsOf(meter), () => client.request("GET", "web"));
      const head = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n";
      for (const server of meter.world.upstreams) {
        server.send(head);
        const piece = Buffer.alloc(H1_NARROW_READ_BYTES);
        while (!server.isPaused) server.send(piece);
        meter.look();
      }
    },
  },
];

/** Anybody can say that it is Pillion: every conversation of HTTP/2 that goes on after the preface, by such a one. */
export const CONVERSATIONS: readonly Conversation[] = [
  ...STRANGERS,
  ...STRANGERS.filter(({ name }) => name.startsWith("HTTP/2: ") && !name.endsWith("silence")).map((one) => ({
    ...one,
    name: one.name.replace("HTTP/2", "HTTP/2 as Pillion"),
    isDeclared: true,
  })),
];
