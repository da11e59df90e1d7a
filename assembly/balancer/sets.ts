// Sets: who may answer for a service, or for a subset of it, and how one of them is chosen.
//
// The main thread stages members, compiles them into a new block (members, and the policy's lookup), and publishes
// the block by storing its address once. The record of a set, with the cursor of its round robin, stays where it
// is, so a republication does not begin the round anew. Only one set is staged at a time.

import { COMMIT_ARENA_FULL, COMMIT_OK, MODE_UNKNOWN } from "../abi/balancer-codes.ts";
import {
  BLOCK_COUNT_OFFSET,
  BLOCK_EQUAL_WEIGHTS_OFFSET,
  BLOCK_IS_PART_OFFSET,
  BLOCK_LOCAL_OFFSET,
  BLOCK_LOOKUP_LENGTH_OFFSET,
  BLOCK_LOOKUP_OFFSET,
  BLOCK_MEMBERS_OFFSET,
  BLOCK_MODE_OFFSET,
  BLOCK_POLICY_OFFSET,
  BLOCK_REMOTE_OFFSET,
  BLOCK_SIZE_OFFSET,
  BLOCK_WEIGHT_OFFSET,
  INSTANCES_MAX,
  MEMBER_BYTES,
  MEMBER_WEIGHT_OFFSET,
  SERVICES_MAX,
  SET_BLOCK_OFFSET,
  SET_BYTES,
  SET_CURSOR_OFFSET,
  SET_LOCAL_CURSOR_OFFSET,
  SET_RAMP_UNTIL_OFFSET,
  SET_REMOTE_CURSOR_OFFSET,
  SET_SERVICE_OFFSET,
  SET_SPILL_OFFSET,
  SETS,
  SETS_MAX,
  STAGED_BYTES,
  STAGED_HASH_OFFSET,
  STAGED_WEIGHT_OFFSET,
  TUNING_PEERS_OFFSET,
  VITAL_SERVICE_OFFSET,
  WEIGHT_MAX,
} from "../abi/balancer-table.ts";
import { POLICIES_COUNT } from "../abi/policies.ts";
import { acquireRange, releaseRange } from "./arena.ts";
import { memberCount } from "./block.ts";
import { compileLookup, lookupBytes, measureLookup, scratchBytes } from "./compile.ts";
import { blockMode } from "./eligible.ts";
import { reclaim, retireBlock } from "./epochs.ts";
import { noteJoined } from "./ramp.ts";
import { tuningOf } from "./tuning.ts";
import { isLocal, vitalOf } from "./vitals.ts";

// Per instance; the main thread's only: what is staged between `beginSet` and `commitSet`.
let stagedSet: u32 = 0;
let stagedPolicy: u32 = 0;
let stagedService: u32 = 0;
let stagedPtr: u32 = 0;
let stagedCapacity: u32 = 0;
let stagedCount: u32 = 0;
let stagedZoned: bool = false;

/** Where the record of `set` is. */
export function setRecord(set: u32): u32 {
  return SETS + set * SET_BYTES;
}

/** Begins a new member list for `set`, of at most `capacity` members. Returns a COMMIT_* code. Main thread. */
export function beginSet(set: u32, policy: u32, service: u32, capacity: u32): i32 {
  assert(set < u32(SETS_MAX) && service < u32(SERVICES_MAX));
  assert(policy < u32(POLICIES_COUNT) && capacity <= u32(INSTANCES_MAX));
  endStaging(); // of a list that was begun and never committed
  const ptr = acquireOrReclaim(capacity * STAGED_BYTES + STAGED_BYTES);
  if (ptr == 0) return COMMIT_ARENA_FULL;
  stagedSet = set;
  stagedPolicy = policy;
  stagedService = service;
  stagedPtr = ptr;
  stagedCapacity = capacity;
  stagedCount = 0;
  stagedZoned = false;
  return COMMIT_OK;
}

/** Has members that are local (`setLocal`) come first in the set that is staged. */
export function preferLocal(): void {
  assert(stagedPtr != 0);
  stagedZoned = true;
}

/** Adds a member; one of weight 0 is never picked. `memberHash` places it on rings: a hash of the instance's id. */
export function addMember(slot: u32, weight: u32, memberHash: u32): void {
  assert(slot < u32(INSTANCES_MAX) && weight <= u32(WEIGHT_MAX));
  assert(stagedPtr != 0 && stagedCount < stagedCapacity);
  if (weight == 0) return;
  const ptr = stagedPtr + stagedCount * STAGED_BYTES;
  store<u32>(ptr, slot);
  store<u32>(ptr, weight, STAGED_WEIGHT_OFFSET);
  store<u32>(ptr, memberHash, STAGED_HASH_OFFSET);
  stagedCount += 1;
}

/** Publishes what was staged: every pick from now on sees all of it. On COMMIT_ARENA_FULL nothing has changed. */
export function commitSet(): i32 {
  assert(stagedPtr != 0);
  const block = stagedCount == 0 ? 0 : compileBlocks();
  if (block == 0 && stagedCount != 0) {
    endStaging();
    return COMMIT_ARENA_FULL;
  }
  const record = setRecord(stagedSet);
  store<u32>(record, stagedService, SET_SERVICE_OFFSET);
  if (block != 0) {
    bindMembers(block);
    atomic.store<u64>(record + SET_RAMP_UNTIL_OFFSET, noteJoined(block, stagedService));
  }
  publishBlock(stagedSet, block);
  endStaging();
  reclaim();
  return COMMIT_OK;
}

/** Takes all members away, so that the set's number may serve another. Main thread. */
export function clearSet(set: u32): void {
  assert(set < u32(SETS_MAX));
  publishBlock(set, 0);
  const record = setRecord(set);
  atomic.store<u64>(record + SET_CURSOR_OFFSET, 0);
  atomic.store<u64>(record + SET_LOCAL_CURSOR_OFFSET, 0);
  atomic.store<u64>(record + SET_REMOTE_CURSOR_OFFSET, 0);
  atomic.store<u32>(record + SET_SPILL_OFFSET, 0);
  const tuning = tuningOf(load<u32>(record, SET_SERVICE_OFFSET));
  if (load<u32>(tuning, TUNING_PEERS_OFFSET) == set + 1) store<u32>(tuning, 0, TUNING_PEERS_OFFSET);
}

/** The service whose limits apply to `set`. */
export function serviceOf(set: u32): u32 {
  assert(set < u32(SETS_MAX));
  return load<u32>(setRecord(set), SET_SERVICE_OFFSET);
}

/** Members of a weight above 0. Main thread: a worker would have to pin. */
export function memberCountOf(set: u32): u32 {
  assert(set < u32(SETS_MAX));
  const block = load<u32>(setRecord(set), SET_BLOCK_OFFSET);
  return block == 0 ? 0 : memberCount(block);
}

/** How the set stands, MODE_*; MODE_UNKNOWN without members. Main thread. */
export function modeOf(set: u32): u32 {
  assert(set < u32(SETS_MAX));
  const block = load<u32>(setRecord(set), SET_BLOCK_OFFSET);
  return block == 0 ? MODE_UNKNOWN : blockMode(block);
}

/** Makes a block of the staged members, and beside it one for each half where zones count; 0 when the arena is full. */
function compileBlocks(): u32 {
  const block = compileBlock(stagedPtr, stagedCount, 0);
  if (block == 0 || !stagedZoned || compileZones(block)) return block;
  releaseRange(block, load<u32>(block, BLOCK_SIZE_OFFSET));
  return 0;
}

/** False when the arena is full. */
function compileZones(block: u32): bool {
  let locals: u32 = 0;
  for (let index: u32 = 0; index < stagedCount; index += 1) {
    locals += u32(isLocal(load<u32>(stagedPtr + index * STAGED_BYTES)));
  }
  if (locals == 0 || locals == stagedCount) return true;
  const sorted = acquireOrReclaim(stagedCount * STAGED_BYTES);
  if (sorted == 0) return false;
  let localPtr = sorted;
  let remotePtr = sorted + locals * STAGED_BYTES;
  for (let staged = stagedPtr; staged < stagedPtr + stagedCount * STAGED_BYTES; staged += STAGED_BYTES) {
    const isHere = isLocal(load<u32>(staged));
    memory.copy(isHere ? localPtr : remotePtr, staged, STAGED_BYTES);
    if (isHere) localPtr += STAGED_BYTES;
    else remotePtr += STAGED_BYTES;
  }
  const local = compileBlock(sorted, locals, 1);
  const remote = local == 0 ? 0 : compileBlock(localPtr, stagedCount - locals, 1);
  releaseRange(sorted, stagedCount * STAGED_BYTES);
  if (remote != 0) {
    store<u32>(block, local, BLOCK_LOCAL_OFFSET);
    store<u32>(block, remote, BLOCK_REMOTE_OFFSET);
  } else if (local != 0) releaseRange(local, load<u32>(local, BLOCK_SIZE_OFFSET));
  return remote != 0;
}

/** Makes a block of `count` members; 0 when the arena is full. */
function compileBlock(members: u32, count: u32, isPart: u32): u32 {
  const length = measureLookup(stagedPolicy, members, count);
  const membersBytes = count * MEMBER_BYTES;
  const size = BLOCK_MEMBERS_OFFSET + membersBytes + lookupBytes(stagedPolicy, length);
  const scratchSize = scratchBytes(stagedPolicy, count, length);

  const block = acquireOrReclaim(size);
  if (block == 0) return 0;
  const scratch = scratchSize == 0 ? 0 : acquireOrReclaim(scratchSize);
  if (scratch == 0 && scratchSize != 0) {
    releaseRange(block, size);
    return 0;
  }
  store<u32>(block, stagedPolicy, BLOCK_POLICY_OFFSET);
  store<u32>(block, count, BLOCK_COUNT_OFFSET);
  store<u32>(block, MODE_UNKNOWN, BLOCK_MODE_OFFSET);
  store<u32>(block, length, BLOCK_LOOKUP_LENGTH_OFFSET);
  store<u32>(block, block + BLOCK_MEMBERS_OFFSET + membersBytes, BLOCK_LOOKUP_OFFSET);
  store<u32>(block, size, BLOCK_SIZE_OFFSET);
  store<u32>(block, 0, BLOCK_LOCAL_OFFSET);
  store<u32>(block, 0, BLOCK_REMOTE_OFFSET);
  store<u32>(block, isPart, BLOCK_IS_PART_OFFSET);
  const firstWeight = load<u32>(members, STAGED_WEIGHT_OFFSET);
  let isEqual: u32 = 1;
  let weight: u64 = 0;
  for (let index: u32 = 0; index < count; index += 1) {
    const member = block + BLOCK_MEMBERS_OFFSET + index * MEMBER_BYTES;
    const staged = members + index * STAGED_BYTES;
    store<u32>(member, load<u32>(staged));
    store<u32>(member, load<u32>(staged, STAGED_WEIGHT_OFFSET), MEMBER_WEIGHT_OFFSET);
    isEqual &= u32(load<u32>(staged, STAGED_WEIGHT_OFFSET) == firstWeight);
    weight += u64(load<u32>(staged, STAGED_WEIGHT_OFFSET));
  }
  store<u64>(block, weight, BLOCK_WEIGHT_OFFSET);
  store<u32>(block, isEqual, BLOCK_EQUAL_WEIGHTS_OFFSET);
  if (scratch != 0) {
    compileLookup(block, members, scratch);
    releaseRange(scratch, scratchSize);
  }
  return block;
}

/** Tells members whose they are, and the service which set is its widest: all others are subsets of it. */
function bindMembers(block: u32): void {
  const count = memberCount(block);
  for (let index: u32 = 0; index < count; index += 1) {
    const slot = load<u32>(block + BLOCK_MEMBERS_OFFSET + index * MEMBER_BYTES);
    store<u32>(vitalOf(slot), stagedService + 1, VITAL_SERVICE_OFFSET);
  }
  const tuning = tuningOf(stagedService);
  const widest = load<u32>(tuning, TUNING_PEERS_OFFSET);
  if (widest == 0 || count > memberCountOf(widest - 1)) store<u32>(tuning, stagedSet + 1, TUNING_PEERS_OFFSET);
}

function publishBlock(set: u32, block: u32): void {
  const before = atomic.xchg<u32>(setRecord(set) + SET_BLOCK_OFFSET, block);
  if (before == 0) return;
  const local = load<u32>(before, BLOCK_LOCAL_OFFSET);
  if (local != 0) {
    retireBlock(local);
    retireBlock(load<u32>(before, BLOCK_REMOTE_OFFSET));
  }
  retireBlock(before);
}

function endStaging(): void {
  if (stagedPtr == 0) return;
  releaseRange(stagedPtr, stagedCapacity * STAGED_BYTES + STAGED_BYTES);
  stagedPtr = 0;
}

function acquireOrReclaim(bytes: u32): u32 {
  const ptr = acquireRange(bytes);
  if (ptr != 0) return ptr;
  reclaim();
  return acquireRange(bytes);
}
