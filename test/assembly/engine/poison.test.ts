// Debug builds fill what is released, so that whoever reads it late shows: blocks of the pool, records of the tables.

import { expect, test } from "vitest";
import { CONNECTION_BYTES, CONNECTIONS, EXCHANGES, READ_BUFFER, STREAMS } from "../../../assembly/abi/engine-memory.ts";
import { POISON, prepareWorlds } from "../../support/world.ts";

const MESH = "services: {web: {instances: [{id: a, address: 10.0.0.1:80}]}}";
/** The first words of a record stay: free lists, generations and marks of being free. */
const KEPT_BYTES = 64;
/** Of exchanges and streams: where no list goes through. */
const SAMPLE_BYTES = 32;

test("a connection that closed leaves nothing that was said", async () => {
  const make = await prepareWorlds();
  const world = make(MESH);
  const secret = "the-secret-of-one-connection";
  world.poisons = true;
  const client = world.accept();
  client.send(`POST /${secret} HTTP/1.1\r\nhost: web\r\nx-${secret}: ${secret}\r\ncontent-length: 90\r\n\r\n${secret}`);
  const [server] = world.upstreams;
  expect(server?.text()).toContain(secret);
  expect(world.engine.streamCount()).toBe(2);
  client.destroy();
  server?.destroy();
  world.pass(1_000);
  expect([world.engine.streamCount(), world.engine.connectionCount(), world.engine.exchangeCount()]).toEqual([0, 0, 0]);

  const memory = Buffer.from(world.memory.buffer);
  const place = memory.indexOf(secret);
  expect(place, "where the secret still stands").toBe(-1);
  const filled = (at: number, bytes: number) => memory.subarray(at, at + bytes).every((byte) => byte === POISON);
  expect(filled(CONNECTIONS + KEPT_BYTES, CONNECTION_BYTES - KEPT_BYTES)).toBe(true);
  expect(filled(STREAMS + KEPT_BYTES, SAMPLE_BYTES)).toBe(true);
  expect(filled(EXCHANGES + 2 * KEPT_BYTES, SAMPLE_BYTES)).toBe(true);
  expect(filled(READ_BUFFER, SAMPLE_BYTES)).toBe(true);
});
