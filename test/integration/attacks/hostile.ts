// Attacks by apps: servers that answer a request with what no server says.

import { expect } from "vitest";
import * as h2 from "../../support/frames.ts";
import { waitUntil } from "../../support/process.ts";
import type { Attack } from "./attack.ts";
import { fields, Peer, WHOLE } from "./peer.ts";

const OK: h2.Fields = [[":status", "200"]];
const HINTS: h2.Fields = [
  [":status", "103"],
  ["link", "</a>"],
];
const CANCEL = 8;
/** What the app of A34 received. */
const early: Buffer[] = [];

/** One request, which fails: 502, or a reset behind a response that had begun. */
function failRequest(failure: RegExp): Attack["run"] {
  return async (peer, _, host) => {
    peer.say(h2.headers(1, fields(host, "/"), WHOLE));
    await peer.hear(failure);
  };
}
const REFUSED = /^HEADERS 1 .*:status 502/;

/** An HTTP/2 app that says this to its first request. */
function answering(script: (server: Peer) => Promise<void> | void): NonNullable<Attack["app"]> {
  const serve = Peer.serve(async (server) => {
    await server.hear(/^HEADERS 1 /);
    await script(server);
  });
  return { protocol: "http2", serve };
}

/** The app speaks HTTP/1.1: a start, then one part without end. */
function endless(start: string, part: string): NonNullable<Attack["app"]> {
  return {
    protocol: "http1",
    serve: (socket) => {
      const pump = () => {
        let isTaken = true;
        while (isTaken && !socket.destroyed) isTaken = socket.write(part);
      };
      socket.once("data", () => {
        socket.write(start);
        socket.on("drain", pump);
        pump();
      });
    },
  };
}

export const HOSTILE_ATTACKS: readonly Attack[] = [
  {
    id: "A3",
    title: "an app's CONTINUATION without end",
    app: answering(async (server) => {
      server.say(h2.headers(1, OK, 0));
      await server.flood(10_000, () => h2.frame(h2.CONTINUATION, 0, 1, Buffer.alloc(100)));
    }),
    run: failRequest(REFUSED),
    ends: "bounded",
    glitch: "continuation",
  },
  {
    id: "A9",
    title: "an app that sends PING and does not read",
    app: answering(async (server) => {
      server.socket.pause();
      await server.flood(1_000_000, () => h2.ping());
    }),
    run: failRequest(REFUSED),
    ends: "bounded",
    glitch: "ping",
  },
  {
    id: "A16",
    title: "an app's empty DATA",
    app: answering(async (server) => {
      server.say(h2.headers(1, OK));
      await server.flood(10_000, () => h2.data(1, ""));
    }),
    run: failRequest(/^RST_STREAM 1|^HEADERS 1 .*:status 502/),
    ends: "bounded",
    glitch: "empty-frames",
  },
  {
    id: "A20",
    title: "an app whose MAX_FRAME_SIZE is 0",
    app: answering((server) => void server.say(h2.settings([[5, 0]]))),
    run: failRequest(REFUSED),
    ends: "bounded",
    glitch: "settings",
  },
  {
    id: "A22",
    title: "an app's ORIGIN without end",
    app: answering((server) => server.flood(400_000, () => h2.frame(12, 0, 0, Buffer.alloc(20)))),
    run: failRequest(REFUSED),
    ends: "bounded",
    glitch: "unknown-frames",
  },
  {
    id: "A23",
    title: "PUSH_PROMISE by an app that was told not to",
    app: answering((server) => void server.say(h2.frame(h2.PUSH_PROMISE, h2.END_HEADERS, 1, h2.u32(2)))),
    run: failRequest(REFUSED),
    ends: "bounded",
    glitch: "push",
  },
  {
    id: "A24",
    title: "an app's RST_STREAM and GOAWAY together",
    app: {
      protocol: "http2",
      serve: Peer.serve(async (server) => {
        await server.hear(/^HEADERS 3 /);
        server.say(h2.resetStream(1, CANCEL), h2.goaway(1, 0));
      }),
    },
    async run(peer, _, host) {
      peer.say(h2.headers(1, fields(host, "/"), WHOLE), h2.headers(3, fields(host, "/"), WHOLE));
      await peer.hear(REFUSED);
      peer.say(h2.resetStream(3, CANCEL));
      expect(peer.lines.filter((line) => line.startsWith("HEADERS 1"))).toHaveLength(1);
      expect(peer.lines.filter((line) => line.startsWith("HEADERS 3")).length).toBeLessThan(2);
    },
    ends: "bounded",
  },
  {
    id: "A25",
    title: "an app's trailers with pseudo-headers",
    app: answering((server) => void server.say(h2.headers(1, OK), h2.headers(1, OK, WHOLE))),
    run: failRequest(/^RST_STREAM 1|^HEADERS 1 .*:status 502/),
    ends: "bounded",
    glitch: "bad-message",
  },
  {
    id: "A31",
    title: "an app's informational responses without end",
    app: answering((server) => server.flood(10_000, () => h2.headers(1, HINTS))),
    run: failRequest(REFUSED),
    ends: "bounded",
    glitch: "bad-message",
  },
  {
    id: "A31",
    title: "an app's trailers of 9 KiB",
    app: answering((server) => void server.say(h2.headers(1, OK), h2.headers(1, [["x-a", "b".repeat(9_000)]], WHOLE))),
    run: failRequest(/^RST_STREAM 1|^HEADERS 1 .*:status 502/),
    ends: "bounded",
    glitch: "head-limit",
  },
  {
    id: "A34",
    title: "extended CONNECT: data before the answer, and a protocol on GET",
    app: { protocol: "http1", serve: (socket) => void socket.on("data", (bytes: Buffer) => early.push(bytes)) },
    async run(peer, _, host) {
      const websocket: h2.Fields = [...fields(host, "/", "CONNECT"), [":protocol", "websocket"]];
      peer.say(h2.headers(1, websocket), h2.data(1, "EARLY"));
      peer.say(h2.headers(3, [...fields("web", "/x"), [":protocol", "x"]], WHOLE));
      await peer.hear(/^RST_STREAM 3 PROTOCOL_ERROR/);
      const seen = () => Buffer.concat(early).toString("latin1");
      await waitUntil("the upgrade arrived", () => seen().includes("\r\n\r\n"));
      await peer.beServed("web2");
      expect(seen()).not.toContain("EARLY");
      peer.say(h2.resetStream(1, CANCEL));
    },
    ends: "bounded",
    glitch: "bad-message",
  },
  {
    id: "H1",
    title: "an app's head without end",
    app: endless("HTTP/1.1 200 OK\r\n", "a: b\r\n".repeat(100)),
    run: failRequest(REFUSED),
    ends: "bounded",
  },
  {
    id: "H1",
    title: "an app's informational responses without end",
    app: endless("", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(20)),
    run: failRequest(REFUSED),
    ends: "bounded",
  },
  {
    id: "H1",
    title: "an app's answers that nobody asked for",
    app: endless("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    run: failRequest(/^HEADERS 1 .*:status 200/),
    ends: "bounded",
  },
];
