// Which blocks the engine takes: whole ones, at the right place. A damaged one is refused and changes nothing.

import fc from "fast-check";
import { beforeAll, beforeEach, expect, it } from "vitest";
import { REASON_NONE } from "../../../assembly/abi/engine-codes.ts";
import { SNAPSHOT_FIRST, SNAPSHOT_SECOND } from "../../../assembly/abi/engine-memory.ts";
import {
  INSTANCE_FLAGS,
  INSTANCE_IS_DRAINING,
  INSTANCE_IS_PRESENT,
  INSTANCE_IS_SIDECAR,
} from "../../../assembly/abi/policy.ts";
import {
  ACTIVATE_BOUNDS,
  ACTIVATE_CHECKSUM,
  ACTIVATE_LENGTH,
  ACTIVATE_MAGIC,
  ACTIVATE_OK,
  ACTIVATE_PLACE,
  PROGRAM_CATCH_ALL_AT,
  PROGRAM_CHECKED_FROM,
  PROGRAM_CHECKSUM_AT,
  PROGRAM_HOSTS_MASK_AT,
  PROGRAM_INBOUND_AT,
  PROGRAM_INSTANCES_AT,
  PROGRAM_INSTANCES_COUNT_AT,
  PROGRAM_LISTENERS_COUNT_AT,
  PROGRAM_PATHS_AT,
  PROGRAM_PATHS_MASK_AT,
  PROGRAM_RULES_COUNT_AT,
  PROGRAM_SERVICES_AT,
  PROGRAM_SERVICES_COUNT_AT,
  PROGRAM_VERSION_AT,
  PROGRAM_VHOSTS_COUNT_AT,
  PROGRAM_WILDCARDS_MASK_AT,
} from "../../../assembly/abi/route-program.ts";
import { checksumOf } from "../../../src/snapshot/hash.ts";
import { compileMesh, loadRouteEngine, type RouteEngine } from "../../support/route-engine.ts";

let engine: RouteEngine;
const { bytes: good } = compileMesh(
  {
    services: { users: { hosts: ["*.users.example"] } },
    instances: {
      users: {
        a: { address: "10.0.0.1:80", sidecar: true, state: "draining" },
        b: { address: "10.0.0.2:80" },
      },
    },
    routes: { r: { hosts: ["api"], rules: [{ match: { path: { prefix: "/x" } }, to: [{ service: "users" }] }] } },
  },
  { revision: 7, listen: ["users"] },
);

beforeAll(async () => {
  engine = await loadRouteEngine();
});

beforeEach(() => {
  expect(engine.load(good)).toBe(ACTIVATE_OK);
});

/** The good block is still in force. */
function expectUnchanged(): void {
  expect(engine.exports.snapshotRevision()).toBe(7);
  expect(engine.match({ authority: "api", path: "/x/y" }).reason).toBe(REASON_NONE);
}

/** The good block with one word changed, its checksum made right again. */
function tamper(at: number, value: number): Uint8Array {
  const bytes = good.slice();
  const view = new DataView(bytes.buffer);
  view.setUint32(at, value, true);
  view.setUint32(PROGRAM_CHECKSUM_AT, checksumOf(new Uint32Array(bytes.buffer, PROGRAM_CHECKED_FROM)), true);
  return bytes;
}

it("any flipped bits are refused", () => {
  fc.assert(
    fc.property(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const bytes = good.slice();
      bytes[at]! ^= bits;
      expect(engine.load(bytes)).not.toBe(ACTIVATE_OK);
      expectUnchanged();
    }),
    { numRuns: 500 },
  );
});

it("any cut is refused", () => {
  for (let length = 0; length < good.length; length += 4) {
    expect(engine.load(good.subarray(0, length))).not.toBe(ACTIVATE_OK);
  }
  expectUnchanged();
});

it("random bytes are refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
      expect(engine.load(bytes)).not.toBe(ACTIVATE_OK);
    }),
  );
  expectUnchanged();
});

it.each([
  ["length", good.subarray(0, good.length - 8), ACTIVATE_LENGTH],
  ["magic", tamper(0, 0), ACTIVATE_MAGIC],
  ["version", tamper(PROGRAM_VERSION_AT, 99), ACTIVATE_MAGIC],
  ["hosts", tamper(PROGRAM_HOSTS_MASK_AT, 0x0fffffff), ACTIVATE_BOUNDS],
  ["a mask that is none", tamper(PROGRAM_HOSTS_MASK_AT, 2), ACTIVATE_BOUNDS],
  ["wildcards", tamper(PROGRAM_WILDCARDS_MASK_AT, 0xffffffff), ACTIVATE_BOUNDS],
  ["paths", tamper(PROGRAM_PATHS_MASK_AT, 0x1fffffff), ACTIVATE_BOUNDS],
  ["paths before the header's end", tamper(PROGRAM_PATHS_AT, 64), ACTIVATE_BOUNDS],
  ["virtual hosts", tamper(PROGRAM_VHOSTS_COUNT_AT, 0xffffffff), ACTIVATE_BOUNDS],
  ["rules", tamper(PROGRAM_RULES_COUNT_AT, 1000), ACTIVATE_BOUNDS],
  ["services", tamper(PROGRAM_SERVICES_COUNT_AT, 100_000), ACTIVATE_BOUNDS],
  ["services, misaligned", tamper(PROGRAM_SERVICES_AT, 130), ACTIVATE_BOUNDS],
  ["instances", tamper(PROGRAM_INSTANCES_COUNT_AT, 0x7fffffff), ACTIVATE_BOUNDS],
  ["listeners", tamper(PROGRAM_LISTENERS_COUNT_AT, 0xffffffff), ACTIVATE_BOUNDS],
  ["the catch-all", tamper(PROGRAM_CATCH_ALL_AT, 5), ACTIVATE_BOUNDS],
  ["the inbound service", tamper(PROGRAM_INBOUND_AT, 5), ACTIVATE_BOUNDS],
])("%s out of bounds", (_, bytes, code) => {
  expect(engine.load(bytes)).toBe(code);
  expectUnchanged();
});

it("a checksum alone is refused", () => {
  const bytes = good.slice();
  bytes[PROGRAM_CHECKSUM_AT]! ^= 1;
  expect(engine.load(bytes)).toBe(ACTIVATE_CHECKSUM);
});

it("only the area that is not in force may be activated", () => {
  const inForce = engine.exports.program.value;
  expect(engine.exports.snapshotSpare()).toBe(inForce === SNAPSHOT_FIRST ? SNAPSHOT_SECOND : SNAPSHOT_FIRST);
  expect(engine.exports.activateSnapshot(inForce, good.length)).toBe(ACTIVATE_PLACE);
  expect(engine.exports.activateSnapshot(inForce + 8, good.length)).toBe(ACTIVATE_PLACE);
  expect(engine.exports.activateSnapshot(0, good.length)).toBe(ACTIVATE_PLACE);
  expectUnchanged();
});

it("names and records are found by number, and nothing beyond", () => {
  expect(engine.readText(engine.exports.serviceName(0), engine.exports.nameBytes.value)).toBe("users");
  expect(engine.exports.serviceName(1)).toBe(0);
  expect(engine.exports.nameBytes.value).toBe(0);
  expect(engine.readText(engine.exports.instanceId(1), engine.exports.nameBytes.value)).toBe("b");
  expect(engine.view.getUint8(engine.exports.instanceAt(0) + INSTANCE_FLAGS)).toBe(
    INSTANCE_IS_PRESENT | INSTANCE_IS_SIDECAR | INSTANCE_IS_DRAINING,
  );
  expect(engine.view.getUint8(engine.exports.instanceAt(1) + INSTANCE_FLAGS)).toBe(INSTANCE_IS_PRESENT);
  expect(engine.exports.instanceAt(2)).toBe(0);
  expect(engine.exports.instanceId(2)).toBe(0);
  expect(engine.view.getUint32(engine.exports.program.value + PROGRAM_INSTANCES_AT, true)).toBeGreaterThan(0);
});
