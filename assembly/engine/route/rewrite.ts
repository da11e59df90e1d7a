// What a rule changes of a request: path, host, fields; and the answers that a rule gives itself.
//
//   prefix /users, pathPrefix /v2:  /users      ──► /v2        /users/7?a=1 ──► /v2/7?a=1
//   prefix /users, pathPrefix /:    /users      ──► /          /users/7     ──► /7          /users?a=1 ──► /?a=1
//   path   /users, pathPrefix /new: /users?a=1  ──► /new?a=1
//   any,           whole path /new: /users/7?a=1 ──► /new?a=1

import { HEAD_RESPONSE } from "../../abi/engine-codes.ts";
import { NAME_LOCATION } from "../../abi/field-names.ts";
import {
  REDIRECT_SCHEME_HTTPS,
  REDIRECT_SCHEME_SAME,
  RULE_ACTION,
  RULE_IS_REDIRECT,
  RULE_PREFIX_BYTES,
  RULE_REDIRECT_SCHEME,
  RULE_REQUEST_EDIT_COUNT,
  RULE_REQUEST_EDITS,
  RULE_RESPONSE_EDIT_COUNT,
  RULE_RESPONSE_EDITS,
  RULE_REWRITE_HOST,
  RULE_REWRITE_HOST_BYTES,
  RULE_REWRITE_IS_WHOLE,
  RULE_REWRITE_PATH,
  RULE_REWRITE_PATH_BYTES,
  RULE_STATUS,
  RULE_TEXT,
  RULE_TEXT_BYTES,
} from "../../abi/route-program.ts";
import {
  addField,
  HEAD_AUTHORITY,
  HEAD_AUTHORITY_BYTES,
  HEAD_PATH,
  HEAD_PATH_BYTES,
  HEAD_SCHEME,
  HEAD_STATUS,
  startHead,
  takeText,
} from "../http/head.ts";
import { applyEdits } from "./edits.ts";
import { hostBytesOf } from "./hosts.ts";
import { program } from "./program.ts";

const SLASH: u32 = 47;
const QUESTION: u32 = 63;
/** "http://", "https://" and "location" in ASCII. */
const HTTP = memory.data<u8>([104, 116, 116, 112, 58, 47, 47]);
const HTTPS = memory.data<u8>([104, 116, 116, 112, 115, 58, 47, 47]);
const LOCATION = memory.data<u8>([108, 111, 99, 97, 116, 105, 111, 110]);

/** Carries out a rule's rewrite and request edits on a scratch head; false when the head has no room. */
export function rewriteHead(head: u32, rule: u32): bool {
  if (!rewriteTarget(head, rule)) return false;
  const edits = program + load<u32>(rule, RULE_REQUEST_EDITS);
  return applyEdits(head, program, edits, load<u32>(rule, RULE_REQUEST_EDIT_COUNT));
}

/**
 * Makes the head of a redirect or direct response in the scratch head `answer`, response edits included. A redirect
 * rewrites path and host of `request` on the way. False when a head has no room.
 */
export function answerRule(request: u32, answer: u32, rule: u32): bool {
  startHead(answer, HEAD_RESPONSE);
  store<u16>(answer, u16(load<u32>(rule, RULE_STATUS)), HEAD_STATUS);
  if (load<u32>(rule, RULE_ACTION) == <u32>RULE_IS_REDIRECT && !addLocation(request, answer, rule)) return false;
  const edits = program + load<u32>(rule, RULE_RESPONSE_EDITS);
  return applyEdits(answer, program, edits, load<u32>(rule, RULE_RESPONSE_EDIT_COUNT));
}

/** Result register of `ruleText`. */
export let ruleTextBytes: u32 = 0;

/** Address of a direct response's body, its length in `ruleTextBytes`; it holds as long as the snapshot. */
export function ruleText(rule: u32): u32 {
  ruleTextBytes = load<u32>(rule, RULE_TEXT_BYTES);
  return program + load<u32>(rule, RULE_TEXT);
}

function rewriteTarget(head: u32, rule: u32): bool {
  if (load<u32>(rule, RULE_REWRITE_HOST) != 0) {
    store<u32>(head, program + load<u32>(rule, RULE_REWRITE_HOST), HEAD_AUTHORITY);
    store<u32>(head, load<u32>(rule, RULE_REWRITE_HOST_BYTES), HEAD_AUTHORITY_BYTES);
  }
  return load<u32>(rule, RULE_REWRITE_PATH) == 0 || rewritePath(head, rule);
}

function rewritePath(head: u32, rule: u32): bool {
  const path = load<u32>(head, HEAD_PATH);
  const length = load<u32>(head, HEAD_PATH_BYTES);
  // "*" (OPTIONS) and the empty path of CONNECT are no paths to rewrite.
  if (length == 0 || load<u8>(path) != SLASH) return true;
  const isWhole = load<u32>(rule, RULE_REWRITE_IS_WHOLE) != 0;
  const prefix = isWhole ? pathBytesOf(path, length) : load<u32>(rule, RULE_PREFIX_BYTES);
  const to = program + load<u32>(rule, RULE_REWRITE_PATH);
  let toBytes = load<u32>(rule, RULE_REWRITE_PATH_BYTES);
  const rest = path + prefix;
  const restBytes = length - prefix;
  // The rest begins with a slash or a query, or is empty: one slash between the two, never two.
  if (restBytes != 0 && load<u8>(rest) == SLASH && load<u8>(to + toBytes - 1) == SLASH) toBytes -= 1;
  const text = takeText(head, toBytes + restBytes);
  if (text == 0) return false;
  memory.copy(text, to, toBytes);
  memory.copy(text + toBytes, rest, restBytes);
  store<u32>(head, text, HEAD_PATH);
  store<u32>(head, toBytes + restBytes, HEAD_PATH_BYTES);
  return true;
}

/** Length of a path without its query. */
function pathBytesOf(path: u32, length: u32): u32 {
  let at: u32 = 0;
  while (at < length && load<u8>(path + at) != QUESTION) at += 1;
  return at;
}

function addLocation(request: u32, answer: u32, rule: u32): bool {
  if (!rewriteTarget(request, rule)) return false;
  const asked = load<u32>(rule, RULE_REDIRECT_SCHEME);
  const isSecure = load<u8>(request, HEAD_SCHEME) == 1;
  const toSecure = asked == <u32>REDIRECT_SCHEME_SAME ? isSecure : asked == <u32>REDIRECT_SCHEME_HTTPS;
  const authority = load<u32>(request, HEAD_AUTHORITY);
  let authorityBytes = load<u32>(request, HEAD_AUTHORITY_BYTES);
  // The port of one scheme is wrong for the other; a host that the rule names keeps what it was given.
  if (isSecure != toSecure && load<u32>(rule, RULE_REWRITE_HOST) == 0)
    authorityBytes = hostBytesOf(authority, authorityBytes);
  const path = load<u32>(request, HEAD_PATH);
  const pathBytes = load<u32>(request, HEAD_PATH_BYTES);
  const isPath = pathBytes != 0 && (load<u8>(path) == SLASH || load<u8>(path) == QUESTION);
  const schemeBytes: u32 = toSecure ? 8 : 7;
  const length = schemeBytes + authorityBytes + (isPath ? pathBytes : 0);
  const text = takeText(answer, length);
  if (text == 0) return false;
  memory.copy(text, toSecure ? <u32>HTTPS : <u32>HTTP, schemeBytes);
  memory.copy(text + schemeBytes, authority, authorityBytes);
  if (isPath) memory.copy(text + schemeBytes + authorityBytes, path, pathBytes);
  return addField(answer, NAME_LOCATION, <u32>LOCATION, 8, text, length);
}
