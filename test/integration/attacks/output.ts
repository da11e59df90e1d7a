// Attacks on what waits for a reader: answers that are asked for and not read, or let out by drops.

import { H2_PEER_STREAMS_MAX, H2_STREAMS_MAX } from "../../../assembly/abi/limits.ts";
import * as h2 from "../../support/frames.ts";
import { waitUntil } from "../../support/process.ts";
import type { Arena } from "./arena.ts";
import type { Attack } from "./attack.ts";
import { fields, idOf, type Peer, WHOLE } from "./peer.ts";

const CALM = "ENHANCE_YOUR_CALM";
const CANCEL = 8;
const STREAMS = 100;

/** Services by what their app speaks: what waits is bounded differently. */
const APPS = [
  ["aside", "HTTP/1.1"],
  ["web2", "HTTP/2"],
] as const;

/** All streams that the attacker may have; between many attacks at once, some. */
function streamsOf({ volume, width }: Arena): number {
  if (volume === 1) return 64;
  return width === 1 ? H2_STREAMS_MAX : H2_PEER_STREAMS_MAX;
}

/** Answers wait; others are served meanwhile; then the streams are given up. */
async function endUnread(peer: Peer, arena: Arena, host: string, count: number, before: number): Promise<void> {
  await waitUntil("they are under way", async () => (await arena.inFlight(host)) >= count);
  using other = await arena.open();
  for (let asked = 0; asked < 100; asked += 1) await other.beServed("aside");
  arena.checkMemory(before);
  await peer.flood(count, (index) => h2.resetStream(idOf(index), CANCEL));
  peer.listen();
}

export const OUTPUT_ATTACKS: readonly Attack[] = [
  {
    id: "A9",
    title: "PING, the answers not read",
    peer: { isDeaf: true },
    run: (peer, { volume }) => peer.flood(1_000_000 * volume, () => h2.ping()),
    ends: CALM,
    glitch: "ping",
  },
  {
    id: "A10",
    title: "SETTINGS, the answers not read",
    peer: { isDeaf: true },
    run: (peer, { volume }) => peer.flood(1_000_000 * volume, () => h2.settings()),
    ends: CALM,
    glitch: "settings",
  },
  {
    id: "A13",
    title: "data dribble: a hundred responses, a byte at a time",
    peer: { settings: [[4, 0]] },
    async run(peer, { volume }) {
      await peer.flood(STREAMS, (index) => h2.headers(idOf(index), fields("aside", "/bytes/5000"), WHOLE));
      const answers = () => peer.lines.filter((line) => line.startsWith("HEADERS")).length;
      await waitUntil("all are answered", () => answers() === STREAMS);
      await peer.flood(50 * STREAMS * volume, (index) => h2.windowUpdate(idOf(index % STREAMS), 1));
      await waitUntil("bytes came", () => peer.lines.length > 20 * STREAMS);
    },
    ends: "bounded",
  },
  ...APPS.map(
    ([host, protocol]): Attack => ({
      id: "A15",
      title: `wide windows, a closed socket, large objects of an app with ${protocol}`,
      peer: { settings: [[4, 0x7fffffff]], isDeaf: true },
      async run(peer, arena) {
        const before = arena.sidecar.residentBytes();
        const count = streamsOf(arena);
        peer.say(h2.windowUpdate(0, 0x7fff0000 - 65_535));
        await peer.flood(count, (index) => h2.headers(idOf(index), fields(host, "/bytes/20000000"), WHOLE));
        await endUnread(peer, arena, host, count, before);
      },
      ends: "bounded",
    }),
  ),
  ...APPS.map(
    ([host, protocol]): Attack => ({
      id: "A15",
      title: `large objects of an app with ${protocol}, read for a while, then no more`,
      peer: { settings: [[4, 300_000]] },
      async run(peer, arena) {
        const before = arena.sidecar.residentBytes();
        const count = streamsOf(arena);
        peer.say(h2.windowUpdate(0, 0x7fff0000 - 65_535));
        await peer.flood(count, (index) => h2.headers(idOf(index), fields(host, "/bytes/20000000"), WHOLE));
        await waitUntil("many were read", () => peer.socket.bytesRead > count * 200_000);
        peer.socket.pause();
        await endUnread(peer, arena, host, count, before);
      },
      ends: "bounded",
    }),
  ),
  {
    id: "A29",
    title: "requests that are answered here, the answers not read",
    peer: { isDeaf: true },
    run: (peer) => peer.flood(100_000, (index) => h2.headers(idOf(index), fields("nobody", "/"), WHOLE)),
    ends: CALM,
    glitch: "refused-streams",
  },
  {
    id: "A29",
    title: "streams that are refused, the resets not read",
    peer: { isDeaf: true },
    run: (peer) => peer.flood(100_000, (index) => h2.headers(idOf(index), fields("web2", "/hang"), WHOLE)),
    ends: CALM,
    glitch: "refused-streams",
  },
];
