// The door of routing: what engine/proxy and the exports of engine.wasm use of it.
//
//   activateSnapshot(ptr, length) → ACTIVATE_*     the block lies at SNAPSHOT_FIRST or SNAPSHOT_SECOND: `snapshotSpare`
//   hasSnapshot · snapshotRevision · programCounter
//   matchRoute(head, LISTENER_*, listener, random) → REASON_*; then routeAction, routeRule, routeSet, routePolicy,
//                                                  routeService, routeMatchedPrefixBytes
//   matchService(index, random)                    the same for a service by its index
//   rewriteHead(head, rule)                        request: path, host, fields; on the scratch head
//   keepEdits(rule) · editResponse(head, kept) · releaseEdits(kept)      response: fields, over the life of an exchange
//   answerRule(request, answer, rule) · ruleText(rule) + ruleTextBytes   redirects and direct responses
//   isClaimed(ptr, length)                         whether anybody answers for an authority
//   findNamed(head, id, name, nameBytes)           the first field of that name
//   hashOf(head, policy, peer, peerBytes)          for `pick`; before rewriteHead, with the policy of the snapshot
//   instanceAt(slot) · instanceId(slot) · serviceName(index) + nameBytes · serviceMetrics(index)

import { editCount, editResponse, keepEdits, releaseEdits } from "./edits.ts";
import { findNamed, hashOf } from "./hash.ts";
import { isClaimed } from "./hosts.ts";
import {
  matchRoute,
  matchService,
  routeAction,
  routeMatchedPrefixBytes,
  routePolicy,
  routeRule,
  routeService,
  routeSet,
} from "./match.ts";
import {
  activateSnapshot,
  hasSnapshot,
  instanceAt,
  instanceId,
  nameBytes,
  program,
  programCounter,
  serviceMetrics,
  serviceName,
  snapshotRevision,
  snapshotSpare,
} from "./program.ts";
import { answerRule, rewriteHead, ruleText, ruleTextBytes } from "./rewrite.ts";

export {
  activateSnapshot,
  answerRule,
  editCount,
  editResponse,
  findNamed,
  hashOf,
  hasSnapshot,
  instanceAt,
  instanceId,
  isClaimed,
  keepEdits,
  matchRoute,
  matchService,
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
};
