// Routing with its insides exported, and what a test needs to make heads and read them back.

import { ANSWER_HEAD, SCRATCH_HEAD } from "../abi/engine-memory.ts";
import { createPool, poolUsedBytes } from "../core/pool.ts";
import { addField, startHead, takeText } from "../engine/http/head.ts";
import { methodIdOf } from "../engine/http/message.ts";
import { nameIdOf } from "../engine/http/names.ts";
import {
  activateSnapshot,
  answerRule,
  editResponse,
  hashOf,
  hasSnapshot,
  instanceAt,
  instanceId,
  keepEdits,
  matchRoute,
  nameBytes,
  program,
  programCounter,
  releaseEdits,
  rewriteHead,
  routeAction,
  routeMatchedPrefixBytes,
  routePolicy,
  routeRule,
  routeService,
  routeSet,
  ruleText,
  ruleTextBytes,
  serviceMetrics,
  serviceName,
  snapshotRevision,
  snapshotSpare,
} from "../engine/route/index.ts";

/** A loop without a seam, for benches: the sum keeps the optimizer honest. */
function matchRepeatedly(head: u32, times: u32): u32 {
  let sum: u32 = 0;
  for (let time: u32 = 0; time < times; time += 1) {
    matchRoute(head, 0, 0, time);
    sum += routeSet;
  }
  return sum;
}

function scratchHead(): u32 {
  return SCRATCH_HEAD;
}

function answerHead(): u32 {
  return ANSWER_HEAD;
}

export {
  activateSnapshot,
  addField,
  answerHead,
  answerRule,
  createPool,
  editResponse,
  hashOf,
  hasSnapshot,
  instanceAt,
  instanceId,
  keepEdits,
  matchRepeatedly,
  matchRoute,
  methodIdOf,
  nameBytes,
  nameIdOf,
  poolUsedBytes,
  program,
  programCounter,
  releaseEdits,
  rewriteHead,
  routeAction,
  routeMatchedPrefixBytes,
  routePolicy,
  routeRule,
  routeService,
  routeSet,
  ruleText,
  ruleTextBytes,
  scratchHead,
  serviceMetrics,
  serviceName,
  snapshotRevision,
  snapshotSpare,
  startHead,
  takeText,
};
