// One watch stream against a scripted server, in virtual time: what a real etcd does rarely, or only when it is ill.

import { EventEmitter } from "node:events";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { IWatchRequest, IWatchResponse } from "etcd3";
import { expect, test } from "vitest";
import type { KeyEvent } from "../../../src/discovery/etcd/revisions.ts";
import type { Session } from "../../../src/discovery/etcd/session.ts";
import { openWatch, WATCH_TIMING, type WatchRange } from "../../../src/discovery/etcd/watch.ts";
import { createVirtualClock } from "../../support/virtual-clock.ts";

type Response = Partial<Omit<IWatchResponse, "events">> & { readonly keys?: Readonly<Record<string, number>> };

/** A stream of which the test is the other end. */
class FakeStream extends EventEmitter {
  readonly requests: IWatchRequest[] = [];
  isCancelled = false;

  write(request: IWatchRequest): void {
    this.requests.push(request);
  }

  cancel(): void {
    this.isCancelled = true;
  }

  answer({ keys = {}, ...response }: Response): void {
    const events = Object.entries(keys).map(([key, revision]) => ({
      type: "Put",
      kv: { key: Buffer.from(key), value: Buffer.from("{}"), mod_revision: String(revision), lease: "0" },
    }));
    const blank = { watch_id: "1", created: false, canceled: false, compact_revision: "0", cancel_reason: "" };
    this.emit("data", { ...blank, fragment: false, header: { revision: "999" }, events, ...response });
  }

  get questions(): number {
    return this.requests.filter((request) => "progress_request" in request).length;
  }
}

const NOTICE = { watch_id: "-1" };

async function open(rangeCount = 2) {
  const stream = new FakeStream();
  const clock = createVirtualClock();
  const events: KeyEvent[][] = [];
  const ready = { count: 0 };
  const session = {
    openWatch: async () => stream as unknown as ClientDuplexStream<IWatchRequest, IWatchResponse>,
  } as Partial<Session> as Session;
  const ranges = Array.from({ length: rangeCount }, (_, index): WatchRange => {
    return { start: Buffer.from(`${index}/`), end: Buffer.from(`${index}0`), nextRevision: 5 };
  });
  const options = { session, clock, timing: WATCH_TIMING };
  const onReady = () => {
    ready.count += 1;
  };
  const watch = await openWatch({ ...options, onEvents: (some) => events.push([...some]), onReady }, ranges);
  const confirm = () => {
    for (const index of ranges.keys()) stream.answer({ watch_id: String(index + 1), created: true });
  };
  return { stream, clock, events, ready, ranges, watch, confirm };
}

test("every range is asked for from its own next revision, in fragments; all confirmed is ready", async () => {
  const { stream, ready, confirm } = await open();
  expect(stream.requests.map((request) => "create_request" in request && request.create_request)).toMatchObject([
    { start_revision: 5, watch_id: "1", fragment: true },
    { start_revision: 5, watch_id: "2", fragment: true },
  ]);
  expect(ready.count).toBe(0);
  confirm();
  expect(ready.count).toBe(1);
});

test("the revision in a header moves nothing: only events do", async () => {
  const { stream, ranges, confirm } = await open();
  confirm();
  stream.answer({ keys: { "0/a": 8 } });
  expect(ranges.map(({ nextRevision }) => nextRevision)).toEqual([9, 5]);
});

test("fragments of one response are one", async () => {
  const { stream, events, ranges, confirm } = await open();
  confirm();
  stream.answer({ keys: { "0/a": 8 }, fragment: true });
  stream.answer(NOTICE);
  expect(stream.questions).toBe(0);
  expect(ranges[0]?.nextRevision).toBe(5);
  stream.answer({ keys: { "0/b": 8, "0/c": 9 } });
  expect(stream.questions).toBe(1);
  stream.answer(NOTICE);
  expect(events.flat().map(({ key }) => key)).toEqual(["0/a", "0/b", "0/c"]);
  expect(ranges[0]?.nextRevision).toBe(10);
});

test("fragments that were cut off are asked for again", async () => {
  const { stream, events, ranges, watch, confirm } = await open();
  confirm();
  stream.answer({ keys: { "0/a": 8 }, fragment: true });
  stream.emit("error", Object.assign(new TypeError("reset"), { details: "connection reset" }));
  expect(await watch.ended).toEqual({ kind: "lost", problem: "connection reset" });
  expect(events).toEqual([]);
  expect(ranges[0]?.nextRevision).toBe(5);
});

test("events of two ranges wait for one answer, and not for ever", async () => {
  const { stream, clock, events, confirm } = await open();
  confirm();
  stream.answer({ watch_id: "1", keys: { "0/a": 8 } });
  stream.answer({ watch_id: "2", keys: { "1/a": 8 } });
  expect(events).toEqual([]);
  stream.answer(NOTICE);
  expect(events.map((some) => some.length)).toEqual([2]);
  stream.answer({ watch_id: "1", keys: { "0/a": 9 } });
  clock.advance(WATCH_TIMING.joinMs);
  expect(events.map((some) => some.length)).toEqual([2, 1]);
});

test("the answer to an earlier question releases nothing", async () => {
  const { stream, clock, events, confirm } = await open();
  confirm();
  // The question of the heartbeat is on its way when the event comes.
  clock.advance(WATCH_TIMING.progressMs);
  stream.answer({ watch_id: "1", keys: { "0/a": 8 } });
  stream.answer(NOTICE);
  expect(events).toEqual([]);
  stream.answer({ watch_id: "2", keys: { "1/a": 8 } });
  stream.answer(NOTICE);
  expect(events.map((some) => some.length)).toEqual([2]);
});

test("what is held when the stream ends is handed over, because the ranges have moved on", async () => {
  const { stream, events, ranges, watch, confirm } = await open();
  confirm();
  stream.answer({ keys: { "0/a": 8 } });
  stream.emit("end");
  expect((await watch.ended).kind).toBe("lost");
  expect(events.flat().map(({ key }) => key)).toEqual(["0/a"]);
  expect(ranges[0]?.nextRevision).toBe(9);
  // The stream is over: nothing that still arrives counts.
  stream.answer({ keys: { "0/b": 9 } });
  expect(events.flat().length).toBe(1);
});

test("silence is asked into, and ends the stream when it lasts", async () => {
  const { stream, clock, watch, confirm } = await open();
  confirm();
  for (let round = 0; round < 5; round += 1) {
    clock.advance(WATCH_TIMING.progressMs);
    stream.answer(NOTICE);
  }
  expect(stream.questions).toBe(5);
  expect(stream.isCancelled).toBe(false);
  clock.advance(WATCH_TIMING.silenceMs + WATCH_TIMING.progressMs);
  expect(await watch.ended).toMatchObject({ kind: "lost", problem: expect.stringContaining("silent for 30 s") });
  expect(stream.isCancelled).toBe(true);
});

test("a watch that never begins is given up", async () => {
  const { clock, ready, watch } = await open();
  clock.advance(5000);
  expect(await watch.ended).toMatchObject({ kind: "lost", problem: expect.stringContaining("did not begin") });
  expect(ready.count).toBe(0);
});

test.each([
  ["compacted", { compact_revision: "77", canceled: true }, { kind: "compacted", oldest: 77 }],
  ["cancelled", { canceled: true, cancel_reason: "no leader" }, { kind: "lost", problem: "no leader" }],
  ["refused at once", { created: true, canceled: true, watch_id: "-1" }, { kind: "lost" }],
  ["of a watch that nobody asked for", { watch_id: "9", keys: { x: 1 } }, { kind: "lost" }],
  ["that makes no sense", { events: undefined } as Response, { kind: "lost" }],
])("an answer %s is an end with a reason, never an exception", async (_, answer, end) => {
  const { stream, watch, confirm } = await open();
  confirm();
  stream.answer(answer);
  expect(await watch.ended).toMatchObject(end);
});

test("a range that joins later is watched from its own revision", async () => {
  const { stream, events, watch, confirm } = await open(1);
  confirm();
  const range = { start: Buffer.from("2/"), end: Buffer.from("20"), nextRevision: 42 };
  watch.add(range);
  expect(stream.requests.at(-1)).toMatchObject({ create_request: { start_revision: 42, watch_id: "2" } });
  stream.answer({ watch_id: "2", created: true });
  stream.answer({ watch_id: "2", keys: { "2/a": 43 } });
  stream.answer(NOTICE);
  expect(events.flat().length).toBe(1);
  watch.stop("enough");
  expect(await watch.ended).toEqual({ kind: "stopped", problem: "enough" });
  watch.add(range);
  expect(stream.requests.filter((request) => "create_request" in request).length).toBe(2);
});
