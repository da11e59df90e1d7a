// Attacks by streams: opened, reset, provoked to be reset, above the limit, with ids that cannot be.

import * as h2 from "../../support/frames.ts";
import { waitUntil } from "../../support/process.ts";
import type { Attack } from "./attack.ts";
import { fields, idOf, WHOLE } from "./peer.ts";

const HANG = fields("web2", "/hang");
const CANCEL = 8;
const CALM = "ENHANCE_YOUR_CALM";
const request = (id: number, flags = WHOLE) => h2.headers(id, HANG, flags);

/** What makes us reset a stream, CVE-2025-8671. */
const PROVOCATIONS: readonly (readonly [string, (id: number) => Buffer])[] = [
  ["WINDOW_UPDATE of 0", (id) => h2.windowUpdate(id, 0)],
  ["WINDOW_UPDATE overflow", (id) => h2.windowUpdate(id, 0x7fffffff)],
  ["PRIORITY of a wrong length", (id) => h2.frame(h2.PRIORITY, 0, id, Buffer.alloc(4))],
  ["PRIORITY on itself", (id) => h2.frame(h2.PRIORITY, 0, id, Buffer.concat([h2.u32(id), Buffer.of(1)]))],
  ["HEADERS after the end", (id) => request(id)],
  ["DATA after the end", (id) => h2.data(id, "x")],
];

export const STREAM_ATTACKS: readonly Attack[] = [
  {
    id: "A1",
    title: "rapid reset, one by one",
    run: (peer, { volume, width }) =>
      peer.flood(5_000 * volume * width, (index) =>
        Buffer.concat([request(idOf(index)), h2.resetStream(idOf(index), CANCEL)]),
      ),
    ends: CALM,
    glitch: "resets",
  },
  {
    id: "A1",
    title: "rapid reset, in batches of a hundred",
    run: (peer, { volume, width }) =>
      peer.flood(50 * volume * width, (batch) => {
        const ids = Array.from({ length: 100 }, (_, index) => idOf(batch * 100 + index));
        return Buffer.concat([...ids.map((id) => request(id)), ...ids.map((id) => h2.resetStream(id, CANCEL))]);
      }),
    ends: CALM,
    glitch: "resets",
  },
  ...PROVOCATIONS.map(
    ([title, provoke]): Attack => ({
      id: "A2",
      title: `made you reset by ${title}`,
      run: (peer, { volume, width }) =>
        peer.flood(3_000 * volume * width, (index) => Buffer.concat([request(idOf(index)), provoke(idOf(index))])),
      ends: CALM,
      glitch: "resets",
    }),
  ),
  {
    id: "A11",
    title: "malformed requests",
    run: (peer, { volume, width }) =>
      peer.flood(3_000 * volume * width, (index) => h2.headers(idOf(index), [[":method", "GET"]], WHOLE)),
    ends: CALM,
    glitch: "bad-message",
  },
  ...[[2], [5, 3]].map(
    (ids): Attack => ({
      id: "A27",
      title: `requests on the streams ${ids.join(", ")}`,
      run: (peer) => void peer.say(...ids.map((id) => request(id))),
      ends: "PROTOCOL_ERROR",
      glitch: "stream-state",
    }),
  ),
  {
    id: "A27",
    title: "the last id that there is",
    async run(peer) {
      peer.say(h2.headers(0x7fffffff, fields("aside", "/status/200"), WHOLE));
      await peer.hear(/HEADERS 2147483647 .*:status 200/);
    },
    ends: "NO_ERROR",
  },
  {
    id: "A28",
    title: "more streams than were allowed, before the SETTINGS are acknowledged",
    peer: { isRude: true },
    run: (peer, { width }) => peer.flood(600 * width, (index) => request(idOf(index))),
    ends: CALM,
    glitch: "refused-streams",
  },
  {
    id: "A30",
    title: "many streams, then a reset of their connections",
    async run(_, arena) {
      const connections = 10 * arena.volume;
      const peers = await Promise.all(Array.from({ length: connections }, () => arena.open()));
      for (const peer of peers) await peer.flood(250, (index) => request(idOf(index)));
      await waitUntil("they are in flight", async () => (await arena.inFlight("web2")) >= connections * 200);
      for (const { socket } of peers) socket.resetAndDestroy();
      await waitUntil("all are over", async () => (await arena.inFlight("web2")) === 0);
    },
    ends: "bounded",
  },
  {
    id: "A35",
    title: "thousands of resets at once",
    async run(peer, { width }) {
      peer.say(request(1));
      await peer.flood(30_000 * width, () => h2.resetStream(1, CANCEL));
    },
    ends: CALM,
    glitch: "resets",
  },
];
