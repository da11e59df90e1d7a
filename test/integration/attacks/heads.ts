// Attacks by field blocks: endless, empty, bombs, integers that do not end, names that are none, trailers.

import * as h2 from "../../support/frames.ts";
import type { Attack } from "./attack.ts";
import { fields, idOf, Peer, WHOLE } from "./peer.ts";

const CALM = "ENHANCE_YOUR_CALM";
const GET = fields("web", "/status/200");
/** A literal that enters the table as its newest entry (RFC 7541 §6.2.1). */
const LARGE = Buffer.concat([
  Buffer.of(0x40, 3),
  Buffer.from("x-a"),
  Buffer.of(127, 0xb9, 0x16),
  Buffer.alloc(3_000, "a"),
]);
/** A reference to it. */
const REFERENCE = 0xbe;
const block = (...parts: Uint8Array[]) => Buffer.concat([h2.encodeFields(GET), ...parts]);

const BROKEN: readonly (readonly [string, Buffer])[] = [
  ["an integer that does not end", Buffer.of(0xff, ...Array.from({ length: 30 }, () => 0xff))],
  ["three size updates", Buffer.of(0x20, 0x20, 0x20)],
  ["a size above the limit", Buffer.of(0x3f, 0xe2, 0x7f)],
  ["a size update in the middle", Buffer.of(0x82, 0x20)],
  ["an index of nothing", Buffer.of(0xfe)],
  ["EOS in Huffman code", Buffer.of(0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, 0x61)],
];

export const HEAD_ATTACKS: readonly Attack[] = [
  {
    id: "A3",
    title: "CONTINUATION without end",
    async run(peer) {
      peer.say(h2.headers(1, GET, h2.END_STREAM));
      await peer.flood(10_000, () => h2.frame(h2.CONTINUATION, 0, 1, h2.encodeFields([["x-a", "b".repeat(500)]])));
    },
    ends: CALM,
    glitch: "continuation",
  },
  {
    id: "A3",
    title: "four CONTINUATION of 16 KiB, of which the last is only announced",
    run(peer) {
      peer.say(h2.headers(1, GET, h2.END_STREAM));
      for (let count = 0; count < 3; count += 1) peer.say(h2.frame(h2.CONTINUATION, 0, 1, Buffer.alloc(16_384)));
      peer.say(h2.frame(h2.CONTINUATION, 0, 1, Buffer.alloc(0), 16_384));
    },
    ends: CALM,
    glitch: "continuation",
  },
  {
    id: "A4",
    title: "empty CONTINUATION without end",
    async run(peer) {
      peer.say(h2.headers(1, GET, h2.END_STREAM));
      await peer.flood(10_000, () => h2.frame(h2.CONTINUATION, 0, 1, Buffer.alloc(0)));
    },
    ends: CALM,
    glitch: "continuation",
  },
  {
    id: "A5",
    title: "HTTP/2 bomb: heads of references, a window of 0, credit by drops",
    peer: { settings: [[4, 0]] },
    app: { protocol: "http2", serve: Peer.serve(() => {}) },
    async run(peer, { width }, host) {
      const bomb = Buffer.concat([h2.encodeFields(fields(host, "/")), Buffer.alloc(18, REFERENCE)]);
      const open = (index: number) => h2.frame(h2.HEADERS, WHOLE, idOf(index), bomb);
      peer.say(h2.frame(h2.HEADERS, WHOLE, 1, block(LARGE)));
      await peer.flood(90, (index) => open(index + 1));
      await peer.flood(100, (index) => h2.windowUpdate(idOf(index % 8), 1));
      await peer.flood(160 * width, (index) => open(index + 91));
    },
    ends: CALM,
    glitch: "refused-streams",
  },
  {
    id: "A5",
    title: "cookie crumbs beyond counting",
    async run(peer) {
      const crumbs = Array.from({ length: 1_600 }, () => ["cookie", "a"] as const);
      peer.say(h2.frame(h2.HEADERS, WHOLE, 1, block(h2.encodeFields(crumbs))));
      await peer.hear(/HEADERS 1 .*:status 431.*x-pillion-reason header-too-large/);
    },
    ends: "bounded",
    glitch: "head-limit",
  },
  {
    id: "A6",
    title: "HPACK bomb",
    run(peer) {
      peer.say(h2.frame(h2.HEADERS, WHOLE, 1, block(LARGE)));
      peer.say(h2.frame(h2.HEADERS, WHOLE, 3, block(Buffer.alloc(12_000, REFERENCE))));
    },
    ends: CALM,
    glitch: "head-limit",
  },
  ...BROKEN.map(
    ([title, bytes]): Attack => ({
      id: "A7",
      title: `HPACK: ${title}`,
      run: (peer) => void peer.say(h2.frame(h2.HEADERS, WHOLE, 1, bytes)),
      ends: "COMPRESSION_ERROR",
      glitch: "compression",
    }),
  ),
  {
    id: "A8",
    title: "very many tiny fields",
    async run(peer) {
      const tiny = Array.from({ length: 3_000 }, () => ["a", "b"] as const);
      peer.say(h2.frame(h2.HEADERS, WHOLE, 1, block(h2.encodeFields(tiny))));
      await peer.hear(/HEADERS 1 .*:status 431/);
    },
    ends: "bounded",
    glitch: "head-limit",
  },
  {
    id: "A12",
    title: "empty names",
    async run(peer, { width }) {
      const huffman = Buffer.of(0x00, 0x80, 0x80);
      for (const [index, empty] of [h2.encodeFields([["", ""]]), huffman, h2.encodeFields([["", "x"]])].entries()) {
        peer.say(h2.frame(h2.HEADERS, WHOLE, idOf(index), block(empty)));
        await peer.hear(new RegExp(`^RST_STREAM ${idOf(index)} PROTOCOL_ERROR`));
      }
      await peer.flood(3_000 * width, (index) => h2.frame(h2.HEADERS, WHOLE, idOf(index + 3), block(huffman)));
    },
    ends: CALM,
    glitch: "bad-message",
  },
  {
    id: "A25",
    title: "trailers without an end, with pseudo-headers, of 9 KiB",
    async run(peer) {
      const post = fields("web2", "/hang", "POST");
      peer.say(h2.headers(1, post), h2.headers(1, [["x-a", "b"]]));
      await peer.hear(/^RST_STREAM 1 PROTOCOL_ERROR/);
      peer.say(h2.headers(3, post), h2.headers(3, [[":path", "/"]], WHOLE));
      await peer.hear(/^RST_STREAM 3 PROTOCOL_ERROR/);
      peer.say(h2.headers(5, post), h2.headers(5, [["x-a", "b".repeat(9_000)]], WHOLE));
      await peer.hear(/^RST_STREAM 5 ENHANCE_YOUR_CALM/);
    },
    ends: "bounded",
    glitch: "bad-message",
  },
];
