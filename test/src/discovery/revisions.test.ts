// Revisions are released whole, in order, and nothing is lost or said twice.

import fc from "fast-check";
import { expect, test } from "vitest";
import { type KeyEvent, RevisionJoiner } from "../../../src/discovery/etcd/revisions.ts";

const event = (key: string, revision: number): KeyEvent => ({ key, revision, pair: undefined });

test("events wait for the answer to a question that was asked after them", () => {
  const joiner = new RevisionJoiner();
  expect(joiner.receive([event("routes/r", 7)])).toBe(true);
  // The other half of 7, and the first half of 8, while the question is on its way.
  expect(joiner.receive([event("instances/a", 7)])).toBe(false);
  expect(joiner.receive([event("instances/b", 8)])).toBe(false);
  const first = joiner.release();
  expect(first.events.map(({ revision }) => revision)).toEqual([7, 7]);
  expect(first.shouldAsk).toBe(true);
  expect(joiner.receive([event("routes/r", 8)])).toBe(false);
  const second = joiner.release();
  expect(second.events.map(({ key }) => key)).toEqual(["instances/b", "routes/r"]);
  expect(second.shouldAsk).toBe(false);
  expect(joiner.release().events).toEqual([]);
});

test("the end of the stream lets everything go, in order", () => {
  const joiner = new RevisionJoiner();
  joiner.receive([event("b", 9), event("b", 10)]);
  joiner.receive([event("a", 9)]);
  expect(joiner.flush().map(({ key, revision }) => `${key}${revision}`)).toEqual(["b9", "a9", "b10"]);
  expect(joiner.flush()).toEqual([]);
  expect(joiner.receive([event("c", 11)])).toBe(true);
});

test("watchers that lag behind each other arbitrarily never tear a revision that both have told", () => {
  // Each revision has an event for both watchers; etcd queues both before a question that comes later is answered.
  const schedule = fc.array(fc.constantFrom("first", "second", "answer"), { maxLength: 60 });
  fc.assert(
    fc.property(schedule, (steps) => {
      const joiner = new RevisionJoiner();
      const told = { first: 0, second: 0 };
      const released: KeyEvent[] = [];
      let askedAt: number | undefined;
      const ask = (should: boolean) => {
        // What was queued at the server when the question arrived is delivered before the answer.
        if (should) askedAt = Math.max(told.first, told.second);
      };
      for (const step of steps) {
        if (step === "answer") {
          if (askedAt === undefined) continue;
          for (const name of ["first", "second"] as const) {
            for (; told[name] < askedAt; told[name] += 1) joiner.receive([event(name, told[name] + 1)]);
          }
          askedAt = undefined;
          const { events, shouldAsk } = joiner.release();
          released.push(...events);
          ask(shouldAsk);
          const byRevision = Map.groupBy(released, ({ revision }) => revision);
          for (const [revision, events] of byRevision) expect(events.length, `revision ${revision}`).toBe(2);
        } else {
          told[step] += 1;
          ask(joiner.receive([event(step, told[step])]));
        }
      }
      released.push(...joiner.flush());
      expect(released.length).toBe(told.first + told.second);
    }),
  );
});
