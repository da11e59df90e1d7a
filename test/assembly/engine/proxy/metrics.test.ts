// Goal: every finished request is counted once: by its status, or by the reason why it did not end as it should.

import { beforeEach, expect, test } from "vitest";
import { REASON_CLIENT_GONE, REASON_CONNECT_FAILED, REASON_FAULT } from "../../../../assembly/abi/engine-codes.ts";
import { SOCKET_REFUSED } from "../../../../assembly/abi/engine-records.ts";
import {
  PROCESS_CELLS,
  SERVICE_CELLS,
  SERVICE_REASON_CELLS,
  SERVICE_STATUS_CELLS,
  STATUS_CLASS_CELLS,
} from "../../../../assembly/abi/metrics.ts";
import * as h2 from "../../../support/frames.ts";
import { createWorld, type World } from "../../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld(`
services:
  web: {retry: {attempts: 0}, instances: [{id: a, address: 10.0.0.1:80}]}
routes:
  r: {hosts: [faulty], rules: [{to: [{service: web}], fault: {abort: {share: 1, status: 418}}}]}
`);
});

/** What is counted of service web: by status, and by reason. */
function counted(): Record<string, number> {
  const base = PROCESS_CELLS + world.snapshot.services.find(({ name }) => name === "web")!.index * SERVICE_CELLS;
  const counts: Record<string, number> = {};
  for (let cell = 0; cell < 5 * STATUS_CLASS_CELLS; cell += 1) {
    const value = world.balancer.counters.cellOf(base + SERVICE_STATUS_CELLS + cell);
    const status = 100 * (1 + Math.floor(cell / STATUS_CLASS_CELLS)) + (cell % STATUS_CLASS_CELLS);
    if (value !== 0) counts[`status ${status}`] = value;
  }
  for (let reason = 1; reason < 32; reason += 1) {
    const value = world.balancer.counters.cellOf(base + SERVICE_REASON_CELLS + reason);
    if (value !== 0) counts[`reason ${reason}`] = value;
  }
  return counts;
}

test("an answer of the service by its status", () => {
  world.accept().send("GET / HTTP/1.1\r\nhost: web\r\n\r\n");
  world.upstreams[0]!.send("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
  expect(counted()).toEqual({ "status 404": 1 });
});

test("an own answer by its reason, whatever status the caller was told", () => {
  world.accept().send("GET / HTTP/1.1\r\nhost: faulty\r\n\r\n");
  expect(counted()).toEqual({ [`reason ${REASON_FAULT}`]: 1 });
});

test("to a gRPC caller, whose status is 200, likewise", () => {
  world.onConnect = () => {};
  const call: h2.Fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/a.B/C"],
    [":authority", "web"],
    ["content-type", "application/grpc"],
  ];
  world.accept().send(Buffer.concat([h2.PREFACE, h2.settings(), h2.headers(1, call, 5)]));
  world.upstreams[0]!.destroy(SOCKET_REFUSED);
  expect(counted()).toEqual({ [`reason ${REASON_CONNECT_FAILED}`]: 1 });
});

test("an answer that was broken off by the reason, not as the success that it began as", () => {
  const client = world.accept().send("GET / HTTP/1.1\r\nhost: web\r\n\r\n");
  world.upstreams[0]!.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
  client.destroy();
  expect(counted()).toEqual({ [`reason ${REASON_CLIENT_GONE}`]: 1 });
});
