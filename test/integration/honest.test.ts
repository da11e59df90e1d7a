// Honest clients whose traffic looks like an attack: none is cut off, none is told to go, every request is answered.
//
// The limits that end attacks are assembly/abi/limits.ts; here are those who come near them without meaning harm,
// through one sidecar and through a pair. PILLION_FULL=1 runs each at full length.

import { once } from "node:events";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../support/foreign-clients.ts";
import type { ForeignServer } from "../support/foreign-servers.ts";
import * as h2 from "../support/frames.ts";
import { PlainClient, startPlainServer } from "../support/plain-h2.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type MeshFolder, type Sidecar, startSidecar } from "../support/sidecar.ts";

const isFull = process.env.PILLION_FULL === "1";
/** Cancels beyond the bucket of 1,000: what then decides is the share of streams that were cancelled. */
const CANCEL = isFull ? { streams: 300_000, perSecond: 5_000 } : { streams: 13_000, perSecond: 5_000 };
const MESSAGES = isFull ? { streams: 50, each: 20_000 } : { streams: 20, each: 600 };
const SLOW_REQUESTS = isFull ? 60_000 : 3_000;
const DRIP = isFull ? { streams: 16, bytes: 16_000 } : { streams: 8, bytes: 1_000 };
const LONG_MS = 240_000;
/** Cookies that people have. */
const COOKIES = Array.from({ length: 90 }, (_, index) => `cookie-${index}=${"v".repeat(1 + (index % 40))}`);

interface Tally {
  answered: number;
  cancelled: number;
  refused: string[];
}

describe.each(["outbound", "pair"] as const)("through %s", (via) => {
  let server: ForeignServer;
  let mesh: MeshFolder;
  let outbound: Sidecar;
  let inbound: Sidecar | undefined;

  beforeAll(async () => {
    server = await startPlainServer();
    mesh = createMesh({ services: { web: { protocol: "http2" } } });
    if (via === "pair") {
      const flags = ["--outbound", "off", "--app-protocol", "http2"];
      inbound = await startSidecar({ mesh, app: { service: "web", address: server.address, id: "a" }, flags });
    }
    const address = inbound?.inbound ?? server.address;
    const instances = [{ id: "a", address, sidecar: via === "pair" }];
    mesh.write({ services: { web: { protocol: "http2", instances } } });
    outbound = await startSidecar({ mesh });
    await outbound.waitForInstances("web", ["a"]);
  });

  afterAll(async () => {
    await outbound.stop();
    await inbound?.stop();
    await server.close();
    await mesh[Symbol.asyncDispose]();
  });

  test("a tenth of all requests is cancelled", { timeout: LONG_MS }, async () => {
    const { tally, goaways } = await withSession(outbound.outbound, (session) =>
      sendMany(session, CANCEL, (index) => ({ path: "/ok", isCancelled: index % 10 === 3 })),
    );
    expect({ goaways, refused: tally.refused }).toEqual({ goaways: [], refused: [] });
    expect(tally.cancelled).toBe(CANCEL.streams / 10);
    expect(tally.answered).toBe(CANCEL.streams - tally.cancelled);
  });

  test("streams of messages of one byte, both ways", { timeout: LONG_MS }, async () => {
    await using client = await PlainClient.open(outbound.outbound);
    const echoed = await echoMessages(client, MESSAGES.streams, MESSAGES.each);
    expect({ echoed, endings: client.endings }).toEqual({
      echoed: MESSAGES.streams * MESSAGES.each * MESSAGE.length,
      endings: [],
    });
  });

  test("a slow server that resets every third stream", { timeout: LONG_MS }, async () => {
    const options = { streams: SLOW_REQUESTS, perSecond: 5_000 };
    const { tally, goaways } = await withSession(outbound.outbound, (session) =>
      sendMany(session, options, (index) => ({ path: `/slow/${index}`, isCancelled: false })),
    );
    const others = tally.refused.filter((text) => text !== "502 upstream-reset");
    expect({ goaways, others }).toEqual({ goaways: [], others: [] });
    expect(tally.refused.length).toBe(SLOW_REQUESTS / 3);
    expect(tally.answered).toBe(SLOW_REQUESTS - tally.refused.length);
  });

  test("ninety cookies, in one field and in crumbs", async () => {
    const whole = COOKIES.join("; ");
    await using client = createClient("http1", outbound.outbound);
    const { goaways } = await withSession(outbound.outbound, async (session) => {
      for (let round = 0; round < 50; round += 1) {
        const h1 = await client.send({ host: "web", path: "/cookies", headers: { cookie: whole } });
        expect([h1.status, h1.body.toString()]).toEqual([200, whole]);
        const stream = session.request({ ":path": "/cookies", ":authority": "web", cookie: [...COOKIES] });
        const [[fields], body] = await Promise.all([once(stream, "response"), readAll(stream)]);
        expect([fields[":status"], body]).toEqual([200, whole]);
      }
    });
    expect(goaways).toEqual([]);
  });

  test("bodies read through windows of one byte", { timeout: LONG_MS }, async () => {
    await using client = await PlainClient.open(outbound.outbound, [[4, 1]]);
    const read = await readByBytes(client, DRIP.streams, DRIP.bytes);
    expect({ read, endings: client.endings }).toEqual({ read: DRIP.streams * DRIP.bytes, endings: [] });
    expect((await sendOne(outbound)).status).toBe(200);
  });
});

/** Runs one session and tells which GOAWAYs came on it. */
async function withSession<T>(
  address: string,
  action: (session: ClientHttp2Session) => Promise<T>,
): Promise<{ tally: T; goaways: string[] }> {
  const session = connect(`http://${address}`);
  const goaways: string[] = [];
  session.on("goaway", (code) => goaways.push(`GOAWAY ${code}`));
  session.on("error", (error) => goaways.push(error.message));
  session.on("close", () => goaways.push("closed"));
  try {
    const tally = await action(session);
    return { tally, goaways: [...goaways] };
  } finally {
    session.destroy();
  }
}

/** Sends so many POSTs, no faster than asked, at most 100 at once; who is cancelled is so right behind its head. */
async function sendMany(
  session: ClientHttp2Session,
  { streams, perSecond }: { readonly streams: number; readonly perSecond: number },
  plan: (index: number) => { readonly path: string; readonly isCancelled: boolean },
): Promise<Tally> {
  const tally: Tally = { answered: 0, cancelled: 0, refused: [] };
  const startMs = performance.now();
  let open = 0;
  for (let index = 0; index < streams; ) {
    const due = Math.min(streams, ((performance.now() - startMs) / 1_000) * perSecond);
    for (; index < due && open < 100; index += 1) {
      open += 1;
      void sendPlanned(session, plan(index), tally).then(() => {
        open -= 1;
      });
    }
    if (tally.refused.length > streams / 2 || session.destroyed) break;
    await pause(1);
  }
  await waitUntil("all are over", () => open === 0 || session.destroyed);
  return tally;
}

function sendPlanned(
  session: ClientHttp2Session,
  { path, isCancelled }: { readonly path: string; readonly isCancelled: boolean },
  tally: Tally,
): Promise<void> {
  return new Promise((resolve) => {
    const stream = session.request({ ":method": "POST", ":path": path, ":authority": "web" }, { endStream: true });
    let outcome = "";
    stream.on("response", (fields) => {
      outcome = fields[":status"] === 200 ? "ok" : `${fields[":status"]} ${fields["x-pillion-reason"]}`;
    });
    stream.on("error", () => {});
    stream.resume();
    stream.on("close", () => {
      if (isCancelled) tally.cancelled += 1;
      else if (outcome === "ok" && stream.rstCode === constants.NGHTTP2_NO_ERROR) tally.answered += 1;
      else tally.refused.push(outcome === "" ? `reset ${stream.rstCode}` : outcome);
      resolve();
    });
    if (isCancelled) setImmediate(() => stream.close(constants.NGHTTP2_CANCEL));
  });
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.toString("latin1");
  return text;
}

/** One byte with gRPC's prefix of five. */
const MESSAGE = Buffer.from([0, 0, 0, 0, 1, 120]);
/** Messages of one stream that are under way. */
const BATCH = 50;

/** Sends messages, each in a frame of its own, as they come back; bytes echoed. */
async function echoMessages(client: PlainClient, streams: number, each: number): Promise<number> {
  const left = new Map<number, { toSend: number; awaited: number }>();
  let echoed = 0;
  let ended = 0;
  const sendBatch = (id: number, state: { toSend: number; awaited: number }) => {
    const count = Math.min(BATCH, state.toSend);
    state.toSend -= count;
    state.awaited = count * MESSAGE.length;
    const frames = Array.from({ length: count }, () => h2.data(id, MESSAGE));
    if (state.toSend === 0) frames.push(h2.data(id, "", h2.END_STREAM));
    client.write(...frames);
  };
  client.onFrame = ({ type, flags, id, payload }) => {
    if (type !== h2.DATA) return;
    const state = left.get(id)!;
    echoed += payload.length;
    state.awaited -= payload.length;
    if (payload.length > 0) client.write(h2.windowUpdate(0, payload.length), h2.windowUpdate(id, payload.length));
    if ((flags & h2.END_STREAM) !== 0) ended += 1;
    else if (state.awaited === 0 && state.toSend > 0) sendBatch(id, state);
  };
  for (let index = 0; index < streams; index += 1) {
    const fields: h2.Fields = [
      ["content-type", "application/grpc"],
      ["te", "trailers"],
    ];
    const id = client.request("POST", "/echo", h2.END_HEADERS, fields);
    const state = { toSend: each, awaited: 0 };
    left.set(id, state);
    sendBatch(id, state);
  }
  await waitUntil("every stream has ended", () => ended === streams || client.endings.length > 0, LONG_MS);
  return echoed;
}

/** Reads bodies with one byte of credit at a time; bytes read. */
async function readByBytes(client: PlainClient, streams: number, bytes: number): Promise<number> {
  let read = 0;
  let ended = 0;
  client.onFrame = ({ type, flags, id, payload }) => {
    if (type !== h2.DATA) return;
    expect(payload.length).toBeLessThanOrEqual(1);
    read += payload.length;
    if ((flags & h2.END_STREAM) !== 0) ended += 1;
    else client.write(h2.windowUpdate(id, payload.length), h2.windowUpdate(0, payload.length));
  };
  for (let index = 0; index < streams; index += 1)
    client.request("GET", `/bytes/${bytes}`, h2.END_HEADERS | h2.END_STREAM);
  await waitUntil("every body is read", () => ended === streams || client.endings.length > 0, LONG_MS);
  return read;
}

async function sendOne(sidecar: Sidecar): Promise<{ readonly status: number }> {
  await using client = createClient("http1", sidecar.outbound);
  return await client.send({ host: "web", path: "/ok" });
}
