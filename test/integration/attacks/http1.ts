// Attacks that HTTP/1.1 knows: lines, chunks and heads without end, and the upgrade that there is not.

import { once } from "node:events";
import { expect } from "vitest";
import { openRaw } from "../../support/foreign-clients.ts";
import type { Arena } from "./arena.ts";
import type { Attack } from "./attack.ts";

const POST = "POST /inspect HTTP/1.1\r\nhost: web\r\n";
const CHUNKED = `${POST}transfer-encoding: chunked\r\n\r\n`;

/** Says a start and then one part again and again; returns what was answered until the end. */
async function sayWithoutEnd(arena: Arena, start: string, part: string, count: number): Promise<string> {
  await using raw = await openRaw(arena.sidecar.outbound);
  raw.write(start);
  for (let said = 0; said < count && raw.received.length === 0; said += 1) {
    raw.write(part);
    if (said % 64 === 63) await new Promise((resolve) => setImmediate(resolve));
  }
  return await raw.readUntilEnd();
}

/** What does not end, and the status that ends it. */
const ENDLESS: readonly (readonly [title: string, start: string, part: string, status: number])[] = [
  ["a request target", "GET /", "a".repeat(1_000), 414],
  ["a field", "GET / HTTP/1.1\r\nhost: web\r\nx: ", "a".repeat(1_000), 431],
  ["fields", "GET / HTTP/1.1\r\nhost: web\r\n", "a: b\r\n".repeat(50), 431],
  ["a chunk-size line", `${CHUNKED}1`, ";a=b".repeat(50), 400],
  ["chunk extensions", CHUNKED, "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(10), 400],
  ["trailers", `${CHUNKED}0\r\n`, "a: b\r\n".repeat(50), 431],
];

export const HTTP1_ATTACKS: readonly Attack[] = [
  ...ENDLESS.map(
    ([title, start, part, status]): Attack => ({
      id: "H1",
      title: `${title} without end`,
      async run(_, arena) {
        expect(await sayWithoutEnd(arena, start, part, 2_000)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      },
      ends: "bounded",
      glitch: status === 400 ? "bad-message" : "head-limit",
    }),
  ),
  {
    id: "H1",
    title: "a chunk of 2^64 bytes",
    async run(_, arena) {
      expect(await sayWithoutEnd(arena, CHUNKED, "10000000000000000\r\n", 1)).toMatch(/^HTTP\/1.1 400 /);
    },
    ends: "bounded",
    glitch: "bad-message",
  },
  {
    id: "H1",
    title: "a body in chunks of one byte, which is no wrong",
    async run(_, arena) {
      await using raw = await openRaw(arena.sidecar.outbound);
      const parts = 100 * arena.volume;
      const part = "1\r\nx\r\n".repeat(10_000);
      raw.write(CHUNKED);
      for (let count = 0; count < parts; count += 1) {
        if (!raw.socket.write(part)) await once(raw.socket, "drain");
      }
      raw.write("0\r\n\r\n");
      const [answer] = await raw.waitFor(/^HTTP\/1.1 200[\s\S]*\}/);
      expect(answer).toContain(`"bodyBytes":${parts * 10_000}`);
    },
    ends: "bounded",
  },
  {
    id: "H1",
    title: "requests behind one that is answered late",
    async run(_, arena) {
      const before = arena.sidecar.residentBytes();
      await using raw = await openRaw(arena.sidecar.outbound);
      raw.write("GET /delay/3000 HTTP/1.1\r\nhost: web2\r\n\r\n");
      const more = "GET /status/200 HTTP/1.1\r\nhost: web2\r\n\r\n".repeat(1_000);
      for (let count = 0; count < 400; count += 1) raw.write(more);
      using other = await arena.open();
      for (let count = 0; count < 50; count += 1) await other.beServed("web2");
      arena.checkMemory(before);
      expect(raw.received.length).toBe(0);
      expect(raw.socket.writableLength).toBeGreaterThan(0);
    },
    ends: "bounded",
  },
  {
    id: "A33",
    title: "h2c by Upgrade, with a body",
    async run(_, arena) {
      await using raw = await openRaw(arena.sidecar.outbound);
      const upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__";
      raw.write(`${POST}${upgrade}\r\ncontent-length: 4\r\n\r\nbody`);
      const [answer] = await raw.waitFor(/^HTTP\/1.1 200[\s\S]*\}/);
      expect(answer).toContain('"bodyBytes":4');
      expect(answer).not.toMatch(/http2-settings|h2c/);
    },
    ends: "bounded",
  },
];
