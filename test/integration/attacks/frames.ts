// Attacks by frames that are cheap to say: acknowledgements asked for, nothing said often, windows beyond their size.

import * as h2 from "../../support/frames.ts";
import type { Attack } from "./attack.ts";
import { fields, idOf, Peer, WHOLE } from "./peer.ts";

const CALM = "ENHANCE_YOUR_CALM";
const HANG = fields("web2", "/hang");
const ORIGIN = 12;
const PRIORITY_UPDATE = 16;
const LARGEST = 0x7fffffff;

/** A flood of one frame, behind a request. */
function flood(frame: Buffer, flags: number, count = 20_000): Attack["run"] {
  return async (peer, { volume, width }) => {
    peer.say(h2.headers(1, HANG, flags));
    await peer.flood(count * volume * width, () => frame);
  };
}

export const FRAME_ATTACKS: readonly Attack[] = [
  {
    id: "A10",
    title: "one SETTINGS of 2,700 entries",
    run: (peer) => void peer.say(h2.settings(Array.from({ length: 2_700 }, () => [1, 4_096] as const))),
    ends: CALM,
    glitch: "settings",
  },
  {
    id: "A10",
    title: "the HEADER_TABLE_SIZE to and fro",
    run: (peer) => peer.flood(500, (index) => h2.settings([[1, (index % 2) * 4_096]])),
    ends: "bounded",
  },
  {
    id: "A14",
    title: "dependencies re-shuffled",
    run: async (peer, { width }) => {
      peer.say(h2.headers(1, HANG, WHOLE));
      await peer.flood(20_000 * width, (index) =>
        h2.frame(h2.PRIORITY, 0, 1, Buffer.concat([h2.u32(idOf((index % 50) + 1)), Buffer.of(1)])),
      );
    },
    ends: CALM,
    glitch: "priority",
  },
  {
    id: "A14",
    title: "PRIORITY behind ids that were stepped over",
    run: async (peer, { width }) => {
      peer.say(h2.headers(idOf(100_000_000), HANG, WHOLE));
      await peer.flood(20_000 * width, () => h2.frame(h2.PRIORITY, 0, 1, Buffer.of(0, 0, 0, 0, 3)));
    },
    ends: CALM,
    glitch: "priority",
  },
  { id: "A16", title: "empty DATA", run: flood(h2.data(1, ""), h2.END_HEADERS), ends: CALM, glitch: "empty-frames" },
  {
    id: "A16",
    title: "empty HEADERS",
    run: (peer, { width }) =>
      peer.flood(3_000 * width, (index) => h2.frame(h2.HEADERS, WHOLE, idOf(index), Buffer.alloc(0))),
    ends: CALM,
    glitch: "bad-message",
  },
  {
    id: "A17",
    title: "DATA of one byte that nobody takes",
    app: { protocol: "http2", serve: Peer.serve(() => {}, [[4, 0]]) },
    run: async (peer, { width }, host) => {
      peer.say(h2.headers(1, fields(host, "/", "POST")));
      // The app's word about its window may come behind 64 KiB.
      await peer.flood(80_000 * width, () => h2.data(1, "x"));
    },
    ends: CALM,
    glitch: "small-data",
  },
  {
    id: "A18",
    title: "WINDOW_UPDATE of 1",
    run: flood(h2.windowUpdate(0, 1), WHOLE),
    ends: CALM,
    glitch: "window-updates",
  },
  {
    id: "A18",
    title: "the connection's window overflows",
    run: (peer) => void peer.say(h2.windowUpdate(0, LARGEST)),
    ends: "FLOW_CONTROL_ERROR",
    glitch: "flow-control",
  },
  {
    id: "A18",
    title: "WINDOW_UPDATE of 0 on the connection",
    run: (peer) => void peer.say(h2.windowUpdate(0, 0)),
    ends: "PROTOCOL_ERROR",
    glitch: "flow-control",
  },
  {
    id: "A18",
    title: "WINDOW_UPDATE of an idle stream",
    run: (peer) => void peer.say(h2.windowUpdate(101, 1)),
    ends: "PROTOCOL_ERROR",
    glitch: "stream-state",
  },
  {
    id: "A19",
    title: "INITIAL_WINDOW_SIZE makes a window overflow",
    run: (peer) =>
      void peer.say(h2.headers(1, HANG, WHOLE), h2.windowUpdate(1, LARGEST - 65_535), h2.settings([[4, 65_536]])),
    ends: "FLOW_CONTROL_ERROR",
    glitch: "flow-control",
  },
  {
    id: "A19",
    title: "INITIAL_WINDOW_SIZE makes a window negative",
    async run(peer) {
      peer.say(h2.windowUpdate(0, 100_000), h2.headers(1, fields("aside", "/bytes/100000"), WHOLE));
      await peer.hear(/^DATA 1/);
      peer.say(h2.settings([[4, 0]]), h2.windowUpdate(1, 60_000), h2.settings([[4, 65_535]]));
      await peer.hear(/^DATA 1 ES/);
    },
    ends: "bounded",
  },
  {
    id: "A20",
    title: "MAX_FRAME_SIZE of 0",
    run: (peer) => void peer.say(h2.settings([[5, 0]])),
    ends: "PROTOCOL_ERROR",
    glitch: "settings",
  },
  {
    id: "A21",
    title: "frames of every unknown type",
    run: (peer) => peer.flood(1_000, (index) => h2.frame(32 + (index % 200), 255, index % 9, Buffer.alloc(20))),
    ends: "bounded",
    glitch: "unknown-frames",
  },
  {
    id: "A21",
    title: "a frame of an unknown type in a field block",
    run: (peer) => void peer.say(h2.headers(1, HANG, h2.END_STREAM), h2.frame(200, 0, 1, Buffer.alloc(0))),
    ends: "PROTOCOL_ERROR",
    glitch: "continuation",
  },
  {
    id: "A22",
    title: "ORIGIN without end",
    run: flood(h2.frame(ORIGIN, 0, 0, Buffer.alloc(20)), WHOLE, 40_000),
    ends: CALM,
    glitch: "unknown-frames",
  },
  {
    id: "A22",
    title: "PRIORITY_UPDATE without end",
    run: flood(h2.frame(PRIORITY_UPDATE, 0, 0, Buffer.alloc(5)), WHOLE),
    ends: CALM,
    glitch: "priority",
  },
  {
    id: "A23",
    title: "PUSH_PROMISE by a client",
    run: (peer) => void peer.say(h2.frame(h2.PUSH_PROMISE, h2.END_HEADERS, 1, h2.u32(2))),
    ends: "PROTOCOL_ERROR",
    glitch: "push",
  },
  { id: "A24", title: "GOAWAY without end", run: flood(h2.goaway(0, 0), WHOLE, 40_000), ends: CALM, glitch: "goaway" },
];
