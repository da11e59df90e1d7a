// Writes rules: what must hold besides the path, where the request goes, and what changes on the way.

import { NAME_OTHER } from "../../assembly/abi/field-names.ts";
import {
  AUTOMATON_ACCEPT,
  AUTOMATON_CLASSES,
  AUTOMATON_MAP,
  AUTOMATON_START,
  AUTOMATON_STATES,
  AUTOMATON_TABLE,
  CONDITION_BYTES,
  CONDITION_IS_AUTHORITY,
  CONDITION_IS_HEADER,
  CONDITION_IS_PATH,
  CONDITION_IS_QUERY,
  CONDITION_KIND,
  CONDITION_NAME,
  CONDITION_NAME_ID,
  CONDITION_TEST,
  CONDITION_VALUE,
  DESTINATION_BYTES,
  DESTINATION_POLICY,
  DESTINATION_SERVICE,
  DESTINATION_SET,
  DESTINATION_UP_TO,
  EDIT_ADD,
  EDIT_BYTES,
  EDIT_KIND,
  EDIT_NAME,
  EDIT_NAME_ID,
  EDIT_REMOVE,
  EDIT_SET,
  EDIT_VALUE,
  METHOD_BYTES,
  METHOD_TEXT,
  REDIRECT_SCHEME_HTTP,
  REDIRECT_SCHEME_HTTPS,
  REDIRECT_SCHEME_SAME,
  RULE_ACTION,
  RULE_CONDITION_COUNT,
  RULE_CONDITIONS,
  RULE_DESTINATION_COUNT,
  RULE_DESTINATIONS,
  RULE_FAULT_ABORT_SHARE,
  RULE_FAULT_ABORT_STATUS,
  RULE_FAULT_DELAY_MS,
  RULE_FAULT_DELAY_SHARE,
  RULE_IS_FORWARD,
  RULE_IS_REDIRECT,
  RULE_IS_RESPONSE,
  RULE_METHOD_COUNT,
  RULE_METHOD_LIST,
  RULE_METHODS,
  RULE_MIRROR_SERVICE,
  RULE_MIRROR_SHARE,
  RULE_PREFIX_BYTES,
  RULE_REDIRECT_SCHEME,
  RULE_REQUEST_EDIT_COUNT,
  RULE_REQUEST_EDITS,
  RULE_RESPONSE_EDIT_COUNT,
  RULE_RESPONSE_EDITS,
  RULE_REWRITE_HOST,
  RULE_REWRITE_IS_WHOLE,
  RULE_REWRITE_PATH,
  RULE_STATUS,
  RULE_TEXT,
  RULE_VHOST,
  RULE_WEIGHT,
  SHARE_BITS,
  TEST_ABSENT,
  TEST_EXACT,
  TEST_PREFIX,
  TEST_PRESENT,
  TEST_REGEX,
} from "../../assembly/abi/route-program.ts";
import { assertNever } from "../base/index.ts";
import { encodePolicy } from "./encode-policy.ts";
import { fieldIdOf, METHODS } from "./field-ids.ts";
import type {
  ConditionModel,
  DestinationModel,
  EditModel,
  PolicyModel,
  RuleModel,
  TestModel,
} from "./program-model.ts";
import type { Automaton } from "./regex.ts";
import type { ProgramWriter } from "./writer.ts";

/** What is written once and pointed at by many. */
export interface SharedParts {
  readonly policies: Map<PolicyModel, number>;
  readonly automata: Map<Automaton, number>;
}

const EDIT_CODES = { add: EDIT_ADD, set: EDIT_SET, remove: EDIT_REMOVE } as const;
const SCHEME_CODES = { same: REDIRECT_SCHEME_SAME, http: REDIRECT_SCHEME_HTTP, https: REDIRECT_SCHEME_HTTPS } as const;
const CONDITION_CODES = {
  header: CONDITION_IS_HEADER,
  query: CONDITION_IS_QUERY,
  authority: CONDITION_IS_AUTHORITY,
} as const;

/** Fills the record reserved at `at`; `prefixBytes` is what a path rewrite replaces. */
export function encodeRule(
  writer: ProgramWriter,
  shared: SharedParts,
  { at, rule, vhost, prefixBytes }: { at: number; rule: RuleModel; vhost: number; prefixBytes: number },
): void {
  writer.putU32(at + RULE_VHOST, vhost);
  writer.putU32(at + RULE_PREFIX_BYTES, prefixBytes);
  if (rule.pathPrefix !== undefined) writer.putText(at + RULE_REWRITE_PATH, rule.pathPrefix);
  if (rule.isWholePath === true) writer.putU32(at + RULE_REWRITE_IS_WHOLE, 1);
  if (rule.host !== undefined) writer.putText(at + RULE_REWRITE_HOST, rule.host);
  encodeMethods(writer, at, rule.methods);
  encodeConditions(writer, shared, at, rule);
  putEdits(writer, at + RULE_REQUEST_EDITS, at + RULE_REQUEST_EDIT_COUNT, rule.requestEdits);
  putEdits(writer, at + RULE_RESPONSE_EDITS, at + RULE_RESPONSE_EDIT_COUNT, rule.responseEdits);
  encodeShares(writer, at, rule);
  const { action } = rule;
  switch (action.kind) {
    case "forward":
      writer.putU32(at + RULE_ACTION, RULE_IS_FORWARD);
      encodeDestinations(writer, shared, at, action.destinations);
      break;
    case "redirect":
      writer.putU32(at + RULE_ACTION, RULE_IS_REDIRECT);
      writer.putU32(at + RULE_STATUS, action.status);
      writer.putU32(at + RULE_REDIRECT_SCHEME, SCHEME_CODES[action.scheme]);
      break;
    case "response":
      writer.putU32(at + RULE_ACTION, RULE_IS_RESPONSE);
      writer.putU32(at + RULE_STATUS, action.status);
      writer.putText(at + RULE_TEXT, action.body);
      break;
    default:
      assertNever(action);
  }
}

/** Failures and copies, of a share of the requests. */
function encodeShares(writer: ProgramWriter, at: number, { fault, mirror }: RuleModel): void {
  const partOf = (share: number) => Math.round(share * 2 ** SHARE_BITS);
  if (mirror !== undefined) {
    writer.putU32(at + RULE_MIRROR_SERVICE, mirror.service + 1);
    writer.putU32(at + RULE_MIRROR_SHARE, partOf(mirror.share));
  }
  if (fault?.delay !== undefined) {
    writer.putU32(at + RULE_FAULT_DELAY_SHARE, partOf(fault.delay.share));
    writer.putU32(at + RULE_FAULT_DELAY_MS, fault.delay.durationMs);
  }
  if (fault?.abort !== undefined) {
    writer.putU32(at + RULE_FAULT_ABORT_SHARE, partOf(fault.abort.share));
    writer.putU32(at + RULE_FAULT_ABORT_STATUS, fault.abort.status);
  }
}

function encodeMethods(writer: ProgramWriter, at: number, methods: readonly string[]): void {
  let bits = 0;
  const others: string[] = [];
  for (const method of methods) {
    const id = (METHODS as readonly string[]).indexOf(method);
    if (id > 0) bits |= 1 << id;
    else others.push(method);
  }
  if (others.length > 0) {
    bits |= 1;
    const list = writer.reserve(METHOD_BYTES * others.length);
    for (const [index, method] of others.entries()) {
      writer.putText(list + METHOD_BYTES * index + METHOD_TEXT, method);
    }
    writer.putU32(at + RULE_METHOD_LIST, list);
    writer.putU32(at + RULE_METHOD_COUNT, others.length);
  }
  writer.putU32(at + RULE_METHODS, bits);
}

/** Cheap conditions first: a pattern over the path costs more than a look at the fields. */
function encodeConditions(writer: ProgramWriter, shared: SharedParts, at: number, rule: RuleModel): void {
  const pathTest = rule.path?.kind === "regex" ? rule.path : undefined;
  const count = rule.conditions.length + (pathTest === undefined ? 0 : 1);
  if (count === 0) return;
  const list = writer.reserve(CONDITION_BYTES * count);
  for (const [index, condition] of rule.conditions.entries()) {
    encodeCondition(writer, shared, list + CONDITION_BYTES * index, condition);
  }
  if (pathTest !== undefined) {
    const condition = list + CONDITION_BYTES * (count - 1);
    writer.putU8(condition + CONDITION_KIND, CONDITION_IS_PATH);
    writer.putU8(condition + CONDITION_TEST, TEST_REGEX);
    writer.putText(condition + CONDITION_NAME, pathTest.segments);
    writer.putU32(condition + CONDITION_VALUE, internAutomaton(writer, shared, pathTest.rest));
  }
  writer.putU32(at + RULE_CONDITIONS, list);
  writer.putU32(at + RULE_CONDITION_COUNT, count);
}

function encodeCondition(writer: ProgramWriter, shared: SharedParts, at: number, condition: ConditionModel): void {
  writer.putU8(at + CONDITION_KIND, CONDITION_CODES[condition.on]);
  writer.putU16(at + CONDITION_NAME_ID, condition.on === "header" ? fieldIdOf(condition.name) : NAME_OTHER);
  writer.putText(at + CONDITION_NAME, condition.name);
  encodeTest(writer, shared, at, condition.test);
}

function encodeTest(writer: ProgramWriter, shared: SharedParts, at: number, test: TestModel): void {
  switch (test.kind) {
    case "present":
      writer.putU8(at + CONDITION_TEST, TEST_PRESENT);
      break;
    case "absent":
      writer.putU8(at + CONDITION_TEST, TEST_ABSENT);
      break;
    case "exact":
    case "prefix":
      writer.putU8(at + CONDITION_TEST, test.kind === "exact" ? TEST_EXACT : TEST_PREFIX);
      writer.putText(at + CONDITION_VALUE, test.value);
      break;
    case "regex":
      writer.putU8(at + CONDITION_TEST, TEST_REGEX);
      writer.putU32(at + CONDITION_VALUE, internAutomaton(writer, shared, test.automaton));
      break;
    default:
      assertNever(test);
  }
}

function internAutomaton(writer: ProgramWriter, shared: SharedParts, automaton: Automaton): number {
  const known = shared.automata.get(automaton);
  if (known !== undefined) return known;
  const at = writer.reserve(AUTOMATON_TABLE + 2 * automaton.table.length);
  writer.putU32(at + AUTOMATON_CLASSES, automaton.classCount);
  writer.putU32(at + AUTOMATON_START, automaton.start);
  writer.putU32(at + AUTOMATON_ACCEPT, automaton.acceptFrom);
  writer.putU32(at + AUTOMATON_STATES, automaton.stateCount);
  writer.putBytes(at + AUTOMATON_MAP, automaton.classOf);
  for (const [index, state] of automaton.table.entries()) writer.putU16(at + AUTOMATON_TABLE + 2 * index, state);
  shared.automata.set(automaton, at);
  return at;
}

function encodeDestinations(
  writer: ProgramWriter,
  shared: SharedParts,
  at: number,
  destinations: readonly DestinationModel[],
): void {
  const chosen = destinations.filter(({ weight }) => weight > 0);
  const list = writer.reserve(DESTINATION_BYTES * chosen.length);
  let upTo = 0;
  for (const [index, { service, set, weight, policy }] of chosen.entries()) {
    const record = list + DESTINATION_BYTES * index;
    upTo += weight;
    writer.putU32(record + DESTINATION_UP_TO, upTo);
    writer.putU32(record + DESTINATION_SET, set);
    writer.putU32(record + DESTINATION_SERVICE, service);
    writer.putU32(record + DESTINATION_POLICY, internPolicy(writer, shared, policy));
  }
  writer.putU32(at + RULE_DESTINATIONS, list);
  writer.putU32(at + RULE_DESTINATION_COUNT, chosen.length);
  writer.putU32(at + RULE_WEIGHT, upTo);
}

function internPolicy(writer: ProgramWriter, shared: SharedParts, policy: PolicyModel): number {
  const known = shared.policies.get(policy);
  if (known !== undefined) return known;
  const at = encodePolicy(writer, policy);
  shared.policies.set(policy, at);
  return at;
}

function putEdits(writer: ProgramWriter, offsetAt: number, countAt: number, edits: readonly EditModel[]): void {
  if (edits.length === 0) return;
  const list = writer.reserve(EDIT_BYTES * edits.length);
  for (const [index, { kind, name, value }] of edits.entries()) {
    const at = list + EDIT_BYTES * index;
    writer.putU16(at + EDIT_KIND, EDIT_CODES[kind]);
    writer.putU16(at + EDIT_NAME_ID, fieldIdOf(name));
    writer.putText(at + EDIT_NAME, name);
    writer.putText(at + EDIT_VALUE, value);
  }
  writer.putU32(offsetAt, list);
  writer.putU32(countAt, edits.length);
}
