// Attacks on what waits for a reader: answers that are asked for and not read, or let out by drops.

import * as h2 from "../../support/frames.ts";
import { waitUntil } from "../../support/process.ts";
import type { Attack } from "./attack.ts";
import { fields, idOf, WHOLE } from "./peer.ts";

const CALM = "ENHANCE_YOUR_CALM";
const CANCEL = 8;
const STREAMS = 100;

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
  {
    id: "A15",
    title: "wide windows, a closed socket, large objects",
    peer: { settings: [[4, 0x7fffffff]], isDeaf: true },
    async run(peer, arena) {
      const before = arena.sidecar.residentBytes();
      // Each holds a window of 256 KiB.
      const count = arena.volume === 1 ? 32 : 100;
      peer.say(h2.windowUpdate(0, 0x7fff0000 - 65_535));
      await peer.flood(count, (index) => h2.headers(idOf(index), fields("aside", "/bytes/20000000"), WHOLE));
      await waitUntil("they are under way", async () => (await arena.inFlight("aside")) >= count);
      using other = await arena.open();
      for (let asked = 0; asked < 100; asked += 1) await other.beServed("aside");
      arena.checkMemory(before);
      peer.listen();
      await peer.flood(count, (index) => h2.resetStream(idOf(index), CANCEL));
    },
    ends: "bounded",
  },
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
