// Limits: a model over two workers' columns, what a dead worker leaves, and who is woken.

import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  COUNTER_CONNECTIONS,
  COUNTER_PENDING,
  COUNTER_REQUESTS,
  COUNTERS_COUNT,
} from "../../../assembly/abi/balancer-codes.ts";
import { SERVICES_MAX } from "../../../assembly/abi/balancer-table.ts";
import { watchAdmission } from "../../../src/wasm/shared-memory.ts";
import { createFixture } from "./fixture.ts";

const { main, memory, startWorker } = createFixture();
const first = startWorker(0);
const second = startWorker(1);
const workers = [first, second] as const;

const action = fc.record({
  type: fc.constantFrom("admit", "admit", "leave", "limit"),
  worker: fc.constantFrom<0 | 1>(0, 1),
  service: fc.constantFrom(0, SERVICES_MAX - 1),
  counter: fc.integer({ min: 0, max: COUNTERS_COUNT - 1 }),
  limit: fc.constantFrom(-1, 0, 1, 3, 7),
});

test("admits exactly up to the limit, service by service, counter by counter", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const limits = new Map<string, number>();
      const held = new Map<string, number>();
      const heldBy = (key: string, worker: number) => held.get(`${key} ${worker}`) ?? 0;
      const add = (key: string, worker: number, by: number) => held.set(`${key} ${worker}`, heldBy(key, worker) + by);
      for (const { type, worker, service, counter, limit } of actions) {
        const key = `${service} ${counter}`;
        const total = heldBy(key, 0) + heldBy(key, 1);
        if (type === "limit") {
          limits.set(key, limit);
          main.setLimit(service, counter, limit);
        } else if (type === "admit") {
          const allowed = limits.get(key) ?? -1;
          const due = allowed === -1 || total < allowed ? 1 : 0;
          expect(workers[worker].admit(service, counter)).toBe(due);
          add(key, worker, due);
        } else if (heldBy(key, worker) > 0) {
          workers[worker].leave(service, counter);
          add(key, worker, -1);
        }
        expect(main.countOf(service, counter)).toBe(heldBy(key, 0) + heldBy(key, 1));
      }
      for (const [key, count] of held) {
        const [service = 0, counter = 0, worker = 0] = key.split(" ").map(Number);
        for (let index = 0; index < count; index += 1) workers[worker as 0 | 1].leave(service, counter);
        main.setLimit(service, counter, -1);
      }
      for (const key of limits.keys()) {
        const [service = 0, counter = 0] = key.split(" ").map(Number);
        main.setLimit(service, counter, -1);
      }
    }),
  );
});

test("leaving what was not entered traps", () => {
  expect(() => first.leave(9, COUNTER_PENDING)).toThrow(WebAssembly.RuntimeError);
  expect(main.countOf(9, COUNTER_PENDING)).toBe(0);
});

test("a dead worker's places are free again, and exactly these", () => {
  main.setLimit(3, COUNTER_CONNECTIONS, 8);
  for (let index = 0; index < 3; index += 1) expect(first.admit(3, COUNTER_CONNECTIONS)).toBe(1);
  const dying = startWorker(2);
  for (let index = 0; index < 5; index += 1) expect(dying.admit(3, COUNTER_CONNECTIONS)).toBe(1);
  expect(first.admit(3, COUNTER_CONNECTIONS)).toBe(0);
  main.clearWorker(2);
  expect(main.countOf(3, COUNTER_CONNECTIONS)).toBe(3);
  for (let index = 0; index < 5; index += 1) expect(second.admit(3, COUNTER_CONNECTIONS)).toBe(1);
  expect(second.admit(3, COUNTER_CONNECTIONS)).toBe(0);
  startWorker(2); // the column may be bound again
  main.clearWorker(2);
  main.clearWorker(2); // clearing twice is harmless
});

test("a column has one live thread", () => {
  expect(() => startWorker(0)).toThrow(WebAssembly.RuntimeError);
});

describe("waking", () => {
  const stops: (() => void)[] = [];
  const SERVICE = 12;
  const watch = (worker: number) => {
    const wake = vi.fn<() => void>();
    stops.push(watchAdmission(memory, worker, wake));
    return wake;
  };
  /** Lets every wake that is on its way arrive: another watcher is woken after it. */
  const settle = async () => {
    const marker = watch(1);
    second.waitForAdmission(SERVICE + 1);
    first.admit(SERVICE + 1, COUNTER_REQUESTS);
    first.leave(SERVICE + 1, COUNTER_REQUESTS);
    await vi.waitFor(() => expect(marker).toHaveBeenCalled());
  };
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });

  test("a worker that waits is told once when another one leaves", async () => {
    const wake = watch(0);
    second.admit(SERVICE, COUNTER_REQUESTS);
    second.admit(SERVICE, COUNTER_REQUESTS);
    first.waitForAdmission(SERVICE);
    second.leave(SERVICE, COUNTER_REQUESTS);
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(1));
    second.leave(SERVICE, COUNTER_REQUESTS);
    await settle();
    expect(wake).toHaveBeenCalledTimes(1);
    first.waitForAdmission(SERVICE);
    second.admit(SERVICE, COUNTER_REQUESTS);
    second.leave(SERVICE, COUNTER_REQUESTS);
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(2));
  });

  test("its own leaving does not wake it, and keeps it waiting", async () => {
    const wake = watch(0);
    first.admit(SERVICE, COUNTER_REQUESTS);
    first.waitForAdmission(SERVICE);
    first.leave(SERVICE, COUNTER_REQUESTS);
    await settle();
    expect(wake).not.toHaveBeenCalled();
    second.admit(SERVICE, COUNTER_REQUESTS);
    second.leave(SERVICE, COUNTER_REQUESTS);
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(1));
  });

  test("a higher limit and a dead worker wake too", async () => {
    const wake = watch(0);
    first.waitForAdmission(SERVICE);
    main.setLimit(SERVICE, COUNTER_REQUESTS, 100);
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(1));
    startWorker(3);
    first.waitForAdmission(SERVICE);
    main.clearWorker(3);
    await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(2));
  });

  test("a wake that comes while the last one is being handled is not lost", async () => {
    const leaveOnce = () => {
      first.waitForAdmission(SERVICE);
      second.admit(SERVICE, COUNTER_REQUESTS);
      second.leave(SERVICE, COUNTER_REQUESTS);
    };
    let wakes = 0;
    stops.push(
      watchAdmission(memory, 0, () => {
        wakes += 1;
        if (wakes < 5) leaveOnce(); // nobody is waiting on the word now
      }),
    );
    leaveOnce();
    await vi.waitFor(() => expect(wakes).toBe(5));
  });

  test("nothing arrives after the watch was ended", async () => {
    const wake = watch(0);
    for (const stop of stops.splice(0)) stop();
    first.waitForAdmission(SERVICE);
    second.admit(SERVICE, COUNTER_REQUESTS);
    second.leave(SERVICE, COUNTER_REQUESTS);
    await settle();
    expect(wake).not.toHaveBeenCalled();
  });
});
