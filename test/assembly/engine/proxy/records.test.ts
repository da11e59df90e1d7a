// Goal: what an exchange leaves behind it is true: metric cells, log entries, what is said of its instance.
// Method: a world of virtual sockets; cells, entries and an instance's work are read after each request.

import { expect, test } from "vitest";
import { REASON_NO_ROUTE } from "../../../../assembly/abi/engine-codes.ts";
import { LISTENER_INBOUND, LISTENER_OUTBOUND } from "../../../../assembly/abi/engine-records.ts";
import {
  SERVICE_REASON_CELLS,
  UNROUTED_INBOUND_METRICS,
  UNROUTED_OUTBOUND_METRICS,
} from "../../../../assembly/abi/metrics.ts";
import { readLogEntry } from "../../../../src/telemetry/index.ts";
import { createWorld } from "../../../support/world.ts";

const ONE = (more = "") => `services: {web: {${more} instances: [{id: a, address: 10.0.0.1:80}]}}`;
const GET = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";
const NOBODY = "GET / HTTP/1.1\r\nhost: nobody\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

test("what reached no service is counted in the direction it came from", async () => {
  const world = await createWorld(ONE());
  const counted = () =>
    [UNROUTED_OUTBOUND_METRICS, UNROUTED_INBOUND_METRICS].map((base) =>
      Array.from({ length: 32 }, (_, code) => world.balancer.counters.cellOf(base + SERVICE_REASON_CELLS + code)),
    );
  world.accept(LISTENER_OUTBOUND).send(NOBODY);
  world.accept(LISTENER_INBOUND).send(GET); // there is no app behind it
  const [outbound = [], inbound = []] = counted();
  expect(outbound[REASON_NO_ROUTE]).toBe(1);
  expect(outbound.reduce((sum, count) => sum + count)).toBe(1);
  expect(inbound.reduce((sum, count) => sum + count)).toBe(1);
});

test("an entry tells the bytes of a body that we made ourselves", async () => {
  const world = await createWorld(ONE());
  const [head = "", body = ""] = world.accept().send(NOBODY).text().split("\r\n\r\n");
  expect(head).toContain(" 404 ");
  expect(body).not.toBe("");
  expect(readLogEntry(world.logs[0]!).bytesSent).toBe(body.length);
});

test("entries that a turn has no room for are counted", async () => {
  const world = await createWorld(ONE());
  const long = `GET /${"x".repeat(8000)} HTTP/1.1\r\nhost: nobody\r\n\r\n`;
  let asked = 0;
  for (; asked < 2000 && world.engine.logDropped() === 0; asked += 1) {
    world.receive(world.accept(), Buffer.from(long));
  }
  world.turn();
  expect(world.engine.logDropped()).toBe(1);
  expect(world.logs.length).toBe(asked - 1);
});

test("an attempt that was never sent says nothing of its instance", async () => {
  const world = await createWorld(ONE());
  world.onConnect = () => {}; // it takes its time
  const work = () => {
    const { requests, failures } = world.balancer.counters.workOf(world.snapshot.instances[0]!.slot);
    return { requests, failures };
  };
  world.accept().send(GET).destroy(); // the client leaves
  expect(work()).toEqual({ requests: 0, failures: 0 });
  const second = world.accept().send(GET);
  world.upstreams[0]!.connect().send(OK);
  expect(second.text()).toContain(" 200 ");
  expect(work()).toEqual({ requests: 1, failures: 0 });
});
