// Routing: from a request head to the set of instances that may answer it, and the policy it is treated by.
//
// Where it came in decides first: an inbound listener knows one place only, the app beside us, and never looks at the
// host (DESIGN §2); a `--listen` knows one service. On outbound the host finds a route's virtual host or a service, the
// virtual host finds a rule, the rule's weights find a destination.
//
// No allocation, no call out of the engine. Results are in registers: they hold until the next `matchRoute`.

import { NONE, REASON_NO_INSTANCE, REASON_NO_ROUTE, REASON_NONE, REASON_NOT_READY } from "../../abi/engine-codes.ts";
import { LISTENER_INBOUND, LISTENER_SERVICE } from "../../abi/engine-records.ts";
import {
  DESTINATION_BYTES,
  DESTINATION_POLICY,
  DESTINATION_SERVICE,
  DESTINATION_SET,
  DESTINATION_UP_TO,
  PROGRAM_INBOUND_AT,
  PROGRAM_RULES_AT,
  RULE_ACTION,
  RULE_BYTES,
  RULE_DESTINATIONS,
  RULE_IS_FORWARD,
  RULE_PREFIX_BYTES,
  RULE_WEIGHT,
  SERVICE_RULE,
} from "../../abi/route-program.ts";
import { HEAD_AUTHORITY, HEAD_AUTHORITY_BYTES } from "../http/head.ts";
import { findHost, hostService, hostVhost } from "./hosts.ts";
import { findRule } from "./paths.ts";
import { listenerService, program, serviceAt } from "./program.ts";
import { pathBytes, pathPtr, splitPath } from "./rules.ts";

/** RULE_IS_*: what is to be done. Only FORWARD sets what is below. */
export let routeAction: u32 = RULE_IS_FORWARD;
/** The rule (address in the snapshot); 0 = none. */
export let routeRule: u32 = 0;
/** Set of the balancer to pick from. */
export let routeSet: u32 = NONE;
/** Policy record (address in the snapshot). */
export let routePolicy: u32 = 0;
/** Service index. */
export let routeService: u32 = NONE;
/** How much of the path the rule's path or prefix covers. */
export let routeMatchedPrefixBytes: u32 = 0;
/** What was drawn from: `hashOf` falls back on it. */
export let routeRandom: u32 = 0;

/** Finds where a request goes; `listener` is the number of a `--listen`. Returns REASON_NONE or why it goes nowhere. */
export function matchRoute(head: u32, listenerKind: u32, listener: u32, random: u32): i32 {
  routeAction = RULE_IS_FORWARD;
  routeRule = 0;
  routeSet = NONE;
  routePolicy = 0;
  routeService = NONE;
  routeMatchedPrefixBytes = 0;
  routeRandom = random;
  if (program == 0) return REASON_NOT_READY;
  if (listenerKind == <u32>LISTENER_INBOUND) return takeService(load<u32>(program, PROGRAM_INBOUND_AT));
  if (listenerKind == <u32>LISTENER_SERVICE) return takeService(listenerService(listener));
  findHost(load<u32>(head, HEAD_AUTHORITY), load<u32>(head, HEAD_AUTHORITY_BYTES));
  if (hostVhost == <u32>NONE) return takeService(hostService);
  splitPath(head);
  const number = findRule(hostVhost, head, pathPtr, pathBytes);
  if (number == <u32>NONE) return REASON_NO_ROUTE;
  return takeRule(program + load<u32>(program, PROGRAM_RULES_AT) + number * RULE_BYTES);
}

/** Goes to a service by its index, whatever asks for it. Results as of `matchRoute`. */
export function matchService(index: u32, random: u32): i32 {
  routeRandom = random;
  return program == 0 ? REASON_NOT_READY : takeService(index);
}

function takeService(index: u32): i32 {
  const service = serviceAt(index);
  if (service == 0 || load<u32>(service, SERVICE_RULE) == 0) return REASON_NO_ROUTE;
  return takeRule(program + load<u32>(service, SERVICE_RULE));
}

function takeRule(rule: u32): i32 {
  routeRule = rule;
  routeAction = load<u32>(rule, RULE_ACTION);
  routeMatchedPrefixBytes = load<u32>(rule, RULE_PREFIX_BYTES);
  if (routeAction != <u32>RULE_IS_FORWARD) return REASON_NONE;
  const weight = load<u32>(rule, RULE_WEIGHT);
  if (weight == 0) return REASON_NO_INSTANCE;
  // The high word of the product: even shares without a division.
  const drawn = u32((u64(routeRandom) * u64(weight)) >> 32);
  let destination = program + load<u32>(rule, RULE_DESTINATIONS);
  while (load<u32>(destination, DESTINATION_UP_TO) <= drawn) destination += DESTINATION_BYTES;
  routeSet = load<u32>(destination, DESTINATION_SET);
  routePolicy = program + load<u32>(destination, DESTINATION_POLICY);
  routeService = load<u32>(destination, DESTINATION_SERVICE);
  return REASON_NONE;
}
