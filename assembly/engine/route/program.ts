// The route program in force: which of the two snapshot areas it lies in, and what its header says.
//
// JavaScript writes a compiled snapshot into the area that is not in force and calls `activateSnapshot`; what is wrong
// with it is refused here, once, so that nothing behind this file checks bounds again. Switching is a few stores: the
// engine runs nothing else meanwhile.
//
// Rule: an address inside a program holds until the snapshot after the next is written; exchanges copy what they need.

import { NONE } from "../../abi/engine-codes.ts";
import { SNAPSHOT_BYTES_MAX, SNAPSHOT_FIRST, SNAPSHOT_SECOND } from "../../abi/engine-memory.ts";
import { INSTANCE_RECORD_BYTES } from "../../abi/policy.ts";
import {
  ACTIVATE_BOUNDS,
  ACTIVATE_CHECKSUM,
  ACTIVATE_LENGTH,
  ACTIVATE_MAGIC,
  ACTIVATE_OK,
  ACTIVATE_PLACE,
  BUCKET_BYTES,
  PROGRAM_CATCH_ALL_AT,
  PROGRAM_CHECKED_FROM,
  PROGRAM_CHECKSUM_AT,
  PROGRAM_HEADER_BYTES,
  PROGRAM_HOSTS_AT,
  PROGRAM_INBOUND_AT,
  PROGRAM_INSTANCES_AT,
  PROGRAM_INSTANCES_COUNT_AT,
  PROGRAM_LENGTH_AT,
  PROGRAM_LISTENERS_AT,
  PROGRAM_LISTENERS_COUNT_AT,
  PROGRAM_MAGIC,
  PROGRAM_MAGIC_AT,
  PROGRAM_PATHS_AT,
  PROGRAM_REVISION_AT,
  PROGRAM_RULES_AT,
  PROGRAM_SERVICES_AT,
  PROGRAM_SERVICES_COUNT_AT,
  PROGRAM_VERSION,
  PROGRAM_VERSION_AT,
  PROGRAM_VHOSTS_AT,
  PROGRAM_VHOSTS_COUNT_AT,
  PROGRAM_WILDCARDS_AT,
  RULE_BYTES,
  SERVICE_BYTES,
  SERVICE_METRICS,
  SERVICE_NAME,
  SERVICE_NAME_BYTES,
  VHOST_BYTES,
} from "../../abi/route-program.ts";

// Per-worker state: the program in force.
/** Its address; 0 = none yet. */
export let program: u32 = 0;
/** How many were activated: tells whether an address was taken from the one in force. */
export let programCounter: u32 = 0;

/** Length and address of the text that the last `serviceName` or `instanceId` found. */
export let nameBytes: u32 = 0;

/** Puts the block at `ptr` in force, or says why not (ACTIVATE_*); refused ones change nothing. */
export function activateSnapshot(ptr: u32, length: u32): i32 {
  if ((ptr != <u32>SNAPSHOT_FIRST && ptr != <u32>SNAPSHOT_SECOND) || ptr == program) return ACTIVATE_PLACE;
  if (length < <u32>PROGRAM_HEADER_BYTES || length > <u32>SNAPSHOT_BYTES_MAX || (length & 7) != 0)
    return ACTIVATE_LENGTH;
  if (load<u32>(ptr, PROGRAM_MAGIC_AT) != <u32>PROGRAM_MAGIC) return ACTIVATE_MAGIC;
  if (load<u32>(ptr, PROGRAM_VERSION_AT) != <u32>PROGRAM_VERSION) return ACTIVATE_MAGIC;
  if (load<u32>(ptr, PROGRAM_LENGTH_AT) != length) return ACTIVATE_LENGTH;
  if (load<u32>(ptr, PROGRAM_CHECKSUM_AT) != checksumOf(ptr + PROGRAM_CHECKED_FROM, ptr + length))
    return ACTIVATE_CHECKSUM;
  if (!hasTables(ptr, length)) return ACTIVATE_BOUNDS;
  program = ptr;
  programCounter += 1;
  return ACTIVATE_OK;
}

/** Whether there is a snapshot to route by. */
export function hasSnapshot(): bool {
  return program != 0;
}

/** The registry's revision of the snapshot in force, -1 = none. */
export function snapshotRevision(): f64 {
  return program == 0 ? -1 : load<f64>(program, PROGRAM_REVISION_AT);
}

/** Where the next snapshot is to be written. */
export function snapshotSpare(): u32 {
  return program == <u32>SNAPSHOT_FIRST ? SNAPSHOT_SECOND : SNAPSHOT_FIRST;
}

/** The record (INSTANCE_*) of a balancer slot, 0 when this snapshot knows no such slot. */
export function instanceAt(slot: u32): u32 {
  if (program == 0 || slot >= load<u32>(program, PROGRAM_INSTANCES_COUNT_AT)) return 0;
  return program + load<u32>(program, PROGRAM_INSTANCES_AT) + slot * INSTANCE_RECORD_BYTES;
}

/** The record of a service, 0 when this snapshot has none of that index. */
export function serviceAt(index: u32): u32 {
  if (program == 0 || index >= load<u32>(program, PROGRAM_SERVICES_COUNT_AT)) return 0;
  return program + load<u32>(program, PROGRAM_SERVICES_AT) + index * SERVICE_BYTES;
}

/** Address of a service's name, its length in `nameBytes`; 0 and 0 when there is none. */
export function serviceName(index: u32): u32 {
  const service = serviceAt(index);
  nameBytes = service == 0 ? 0 : load<u32>(service, SERVICE_NAME_BYTES);
  return service == 0 ? 0 : program + load<u32>(service, SERVICE_NAME);
}

/** First metric cell of a service. */
export function serviceMetrics(index: u32): u32 {
  const service = serviceAt(index);
  return service == 0 ? 0 : load<u32>(service, SERVICE_METRICS);
}

/** Address of an instance's id, its length in `nameBytes`; 0 and 0 when the slot is unknown. */
export function instanceId(slot: u32): u32 {
  const instance = instanceAt(slot);
  nameBytes = instance == 0 ? 0 : load<u32>(instance, 12);
  return instance == 0 ? 0 : program + load<u32>(instance, 8);
}

/** Service of a `--listen` number, or NONE. */
export function listenerService(listener: u32): u32 {
  if (listener >= load<u32>(program, PROGRAM_LISTENERS_COUNT_AT)) return NONE;
  return load<u32>(program + load<u32>(program, PROGRAM_LISTENERS_AT) + 4 * listener);
}

function hasTables(ptr: u32, length: u32): bool {
  if (!fits(ptr, PROGRAM_HOSTS_AT, BUCKET_BYTES, 1, length)) return false;
  if (!fits(ptr, PROGRAM_WILDCARDS_AT, BUCKET_BYTES, 1, length)) return false;
  if (!fits(ptr, PROGRAM_PATHS_AT, BUCKET_BYTES, 1, length)) return false;
  if (!fits(ptr, PROGRAM_VHOSTS_AT, VHOST_BYTES, 0, length)) return false;
  if (!fits(ptr, PROGRAM_RULES_AT, RULE_BYTES, 0, length)) return false;
  if (!fits(ptr, PROGRAM_SERVICES_AT, SERVICE_BYTES, 0, length)) return false;
  if (!fits(ptr, PROGRAM_INSTANCES_AT, INSTANCE_RECORD_BYTES, 0, length)) return false;
  if (!fits(ptr, PROGRAM_LISTENERS_AT, 4, 0, length)) return false;
  const catchAll = load<u32>(ptr, PROGRAM_CATCH_ALL_AT);
  if (catchAll != <u32>NONE && catchAll >= load<u32>(ptr, PROGRAM_VHOSTS_COUNT_AT)) return false;
  const inbound = load<u32>(ptr, PROGRAM_INBOUND_AT);
  return inbound == <u32>NONE || inbound < load<u32>(ptr, PROGRAM_SERVICES_COUNT_AT);
}

/** Whether the table whose offset and count (plus `more`: masks) stand at `at` lies behind the header, in the block. */
function fits(ptr: u32, at: u32, recordBytes: u32, more: u32, length: u32): bool {
  const offset = load<u32>(ptr + at);
  const count = u64(load<u32>(ptr + at, 4)) + more;
  if (more == 1 && (count & (count - 1)) != 0) return false;
  return offset >= <u32>PROGRAM_HEADER_BYTES && (offset & 3) == 0 && u64(offset) + count * recordBytes <= u64(length);
}

/** Murmur3's body over words: every single change of a word changes the sum. */
function checksumOf(from: u32, end: u32): u32 {
  let sum: u32 = 0;
  for (let at = from; at < end; at += 4) {
    sum = rotl<u32>(sum ^ (rotl<u32>(load<u32>(at) * 0x2c1b3c6d, 15) * 0x297a2d39), 13) * 5 + 0x36546b64;
  }
  return sum;
}
