// The relay over real sockets: what one side says, the other hears, to the kind of its end.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import {
  TCP_END_CLIENT_GONE,
  TCP_END_CLOSED,
  TCP_END_IDLE,
  TCP_END_UPSTREAM_RESET,
} from "../../../assembly/abi/tcp-ends.ts";
import { relay } from "../../../src/dataplane/tcp/relay.ts";

const open: { close(): void }[] = [];
afterEach(() => {
  for (const thing of open.splice(0)) thing.close();
});

/** Both ends of a connection on loopback. */
async function pair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const far = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const [near] = (await once(server, "connection")) as [Socket];
  server.close();
  for (const socket of [near, far]) {
    socket.on("error", () => undefined);
    open.push({ close: () => socket.destroy() });
  }
  return { near, far };
}

async function setUp(idleMs?: number, prepare = async (_client: Socket, _far: Socket) => {}, first: Buffer[] = []) {
  const [client, upstream] = [await pair(), await pair()];
  await prepare(client.near, client.far);
  const ended = new Promise<number>((resolve) => {
    relay({ client: client.near, upstream: upstream.near, first, idleMs, ended: resolve });
  });
  return { client: client.far, server: upstream.far, ended };
}

async function readAll(socket: Socket): Promise<string> {
  let text = "";
  // Its other direction stays open: `for await` alone would destroy it.
  for await (const part of socket.iterator({ destroyOnReturn: false })) text += String(part);
  return text;
}

test("what was read before comes first; each FIN ends one direction", async () => {
  const { client, server, ended } = await setUp(undefined, undefined, [Buffer.from("one "), Buffer.from("two ")]);
  client.end("three");
  expect(await readAll(server)).toBe("one two three");
  server.end("answer");
  expect(await readAll(client)).toBe("answer");
  expect(await ended).toBe(TCP_END_CLOSED);
});

test("a FIN that was seen before is passed on", async () => {
  const { client, server, ended } = await setUp(undefined, async (near, far) => {
    far.end();
    await once(near.resume(), "end");
    near.pause();
  });
  expect(await readAll(server)).toBe("");
  server.end("answer");
  expect(await readAll(client)).toBe("answer");
  expect(await ended).toBe(TCP_END_CLOSED);
});

test.each([
  ["the client's", TCP_END_CLIENT_GONE],
  ["the server's", TCP_END_UPSTREAM_RESET],
] as const)("%s reset is the other's", async (_, end) => {
  const { client, server, ended } = await setUp();
  const [rude, other] = end === TCP_END_CLIENT_GONE ? [client, server] : [server, client];
  other.write("hello");
  await once(rude, "data");
  const failed = once(other, "error");
  rude.resetAndDestroy();
  expect(await failed).toEqual([expect.objectContaining({ code: "ECONNRESET" })]);
  expect(await ended).toBe(end);
});

test("silence ends both", async () => {
  const { client, server, ended } = await setUp(50);
  const failed = Promise.all([once(client, "error"), once(server, "error")]);
  expect(await ended).toBe(TCP_END_IDLE);
  expect((await failed).map(([{ code }]) => code)).toEqual(["ECONNRESET", "ECONNRESET"]);
});
