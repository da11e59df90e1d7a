// A field block becomes a head: RFC 9113 §8.2 and §8.3, the strict column of reliability.md §2.2.
//
// Every block is decoded to its end, whatever is found in it, because HPACK's table is shared by all of them; only a
// compression error or a decoded size beyond four times the limit (a bomb) ends the connection instead. Names known by
// number are valid by that. A field out of HPACK's table may stem from a malformed message, so it is checked again.

import {
  HEAD_REQUEST,
  HEAD_RESPONSE,
  HEAD_TRAILERS,
  REASON_BAD_REQUEST,
  REASON_HEADER_TOO_LARGE,
} from "../../abi/engine-codes.ts";
import { SCRATCH_HEAD, SCRATCH_HEAD_BYTES } from "../../abi/engine-memory.ts";
import {
  NAME_CONTENT_LENGTH,
  NAME_CONTENT_TYPE,
  NAME_COOKIE,
  NAME_EXPECT,
  NAME_HOP_FIRST,
  NAME_HOP_LAST,
  NAME_HOST,
  NAME_HTTP2_SETTINGS,
  NAME_OTHER,
  NAME_PSEUDO_LAST,
  NAME_TE,
} from "../../abi/field-names.ts";
import { HPACK_END, HPACK_FIELD } from "../../abi/hpack-codes.ts";
import {
  CONTENT_LENGTH_DIGITS_MAX,
  FIELD_BYTES_MAX,
  HEAD_BOMB_FACTOR,
  HEAD_BYTES_MAX,
  HEAD_CRUMBS_MAX,
  HEAD_FIELDS_MAX,
  TRAILER_BYTES_MAX,
} from "../../abi/limits.ts";
import { equalBytes, equalIgnoringCase } from "../../core/bytes.ts";
import {
  fieldFlags,
  fieldNameId,
  fieldNameLen,
  fieldNamePtr,
  fieldValueLen,
  fieldValuePtr,
  nextField,
  setTextArea,
  startBlock,
  textPtr,
} from "../hpack/decoder.ts";
import {
  addField,
  FIELD_FLAGS,
  fieldAt,
  HEAD_CONTENT_LENGTH,
  HEAD_COUNT,
  HEAD_CRUMBS,
  HEAD_EXPECTS_CONTINUE,
  HEAD_HAS_TE_TRAILERS,
  HEAD_IS_GRPC,
  HEAD_TEXT_END,
  HEAD_VERSION,
  setHeadFlag,
  startHead,
} from "../http/head.ts";
import { isForbiddenTrailer, isGrpcContentType } from "../http/message.ts";
import { isTokenByte, valueEnd } from "../http/syntax.ts";
import { finishRequest, hasStatus, startPseudo, stopPseudo, takeHost, takePseudo } from "./pseudo.ts";
import { H_DECODER } from "./state.ts";
import { broken, DECODED_BOMB, DECODED_MALFORMED, DECODED_OK, refuse } from "./verdict.ts";

/** 2^53 - 1 is the largest length that everybody can count. */
const LENGTH_MAX: i64 = 9007199254740991;

const TRAILERS: u32 = <u32>memory.data<u8>([116, 114, 97, 105, 108, 101, 114, 115]);
const CONTINUE: u32 = <u32>memory.data<u8>([49, 48, 48, 45, 99, 111, 110, 116, 105, 110, 117, 101]);

// transfer_encoding, content_length
const TRANSFER_UNDERSCORE: u32 = <u32>(
  memory.data<u8>([116, 114, 97, 110, 115, 102, 101, 114, 95, 101, 110, 99, 111, 100, 105, 110, 103])
);
const LENGTH_UNDERSCORE: u32 = <u32>(
  memory.data<u8>([99, 111, 110, 116, 101, 110, 116, 95, 108, 101, 110, 103, 116, 104])
);

/** Decoded size of the fields of the last head, `bytesBefore` included. */
export let decodedBytes: u32 = 0;

/**
 * Decodes a block into SCRATCH_HEAD; `kind` = HEAD_*. Returns DECODED_*. `bytesBefore` counts against HEAD_BYTES_MAX: a
 * response's informational heads share one budget with the final one.
 */
export function decodeHead(connection: u32, kind: u32, ptr: u32, length: u32, bytesBefore: u32): i32 {
  const head: u32 = SCRATCH_HEAD;
  startHead(head, kind);
  store<u8>(head, 20, HEAD_VERSION);
  const textEnd: u32 = head + SCRATCH_HEAD_BYTES;
  const bytesMax: u32 = kind == HEAD_TRAILERS ? TRAILER_BYTES_MAX : HEAD_BYTES_MAX;
  setTextArea(load<u32>(head, HEAD_TEXT_END), textEnd);
  startBlock(connection + H_DECODER, ptr, length);
  startPseudo();
  let bytes = bytesBefore;
  let verdict: i32 = DECODED_OK;
  let unwanted: u32 = 0; // where text goes that nobody will look at, behind what the head points to
  while (true) {
    const got = nextField();
    if (got == HPACK_END) break;
    if (got < 0) return broken(got);
    bytes += fieldNameLen + fieldValueLen + 32;
    if (verdict == DECODED_OK) {
      if (bytes > bytesMax || got != HPACK_FIELD) verdict = refuse(REASON_HEADER_TOO_LARGE);
      else if (fieldNameId <= <u32>NAME_PSEUDO_LAST && fieldNameId != NAME_OTHER) verdict = takePseudo(head, kind);
      else verdict = takeField(head, kind);
      unwanted = textPtr;
    } else {
      if (bytes > <u32>HEAD_BYTES_MAX * HEAD_BOMB_FACTOR) return DECODED_BOMB;
      setTextArea(unwanted, textEnd);
    }
  }
  decodedBytes = bytes;
  store<u32>(head, textPtr, HEAD_TEXT_END);
  if (verdict != DECODED_OK) return verdict;
  if (kind == HEAD_REQUEST) return finishRequest(head);
  if (kind == HEAD_RESPONSE && !hasStatus()) return DECODED_MALFORMED;
  return DECODED_OK;
}

/** Decodes a block that nobody wants, to keep HPACK in step. DECODED_OK, DECODED_BROKEN or DECODED_BOMB. */
export function decodeNothing(connection: u32, ptr: u32, length: u32): i32 {
  const head: u32 = SCRATCH_HEAD;
  startHead(head, HEAD_TRAILERS);
  const text = load<u32>(head, HEAD_TEXT_END);
  setTextArea(text, head + SCRATCH_HEAD_BYTES);
  startBlock(connection + H_DECODER, ptr, length);
  let bytes: u32 = 0;
  while (true) {
    const got = nextField();
    if (got == HPACK_END) return DECODED_OK;
    if (got < 0) return broken(got);
    bytes += fieldNameLen + fieldValueLen + 32;
    if (bytes > <u32>HEAD_BYTES_MAX * HEAD_BOMB_FACTOR) return DECODED_BOMB;
    setTextArea(text, head + SCRATCH_HEAD_BYTES);
  }
}

function takeField(head: u32, kind: u32): i32 {
  stopPseudo();
  const id = fieldNameId;
  const value = fieldValuePtr;
  const valueBytes = fieldValueLen;
  if (id == NAME_OTHER && !isName(fieldNamePtr, fieldNameLen)) return DECODED_MALFORMED;
  if (valueBytes != 0 && !isValue(value, valueBytes)) return DECODED_MALFORMED;
  if (valueBytes > <u32>FIELD_BYTES_MAX) return refuse(REASON_HEADER_TOO_LARGE);
  // Unknown names and those that mean nothing here go straight into the list.
  if (id >= <u32>NAME_HOP_FIRST && id <= <u32>NAME_COOKIE) {
    const verdict = takeKnown(head, kind, id, value, valueBytes);
    if (verdict != KEEP) return verdict;
  } else if (kind == HEAD_TRAILERS && isForbiddenTrailer(id)) return DECODED_OK; // dropped (RFC 9110 §6.5.1)
  const count = load<u32>(head, HEAD_COUNT);
  if (count - load<u32>(head, HEAD_CRUMBS) > <u32>HEAD_FIELDS_MAX - 1 && id != NAME_COOKIE) {
    return refuse(REASON_HEADER_TOO_LARGE);
  }
  if (!addField(head, id, fieldNamePtr, fieldNameLen, value, valueBytes)) return refuse(REASON_HEADER_TOO_LARGE);
  if (fieldFlags != 0) store<u8>(fieldAt(head, count), u8(fieldFlags), FIELD_FLAGS);
  return DECODED_OK;
}

/** takeKnown: the field belongs into the list. */
const KEEP: i32 = -1;

function takeKnown(head: u32, kind: u32, id: u32, value: u32, valueBytes: u32): i32 {
  if (id <= <u32>NAME_HOP_LAST) return takeHop(head, kind, id, value, valueBytes);
  if (kind == HEAD_TRAILERS) return isForbiddenTrailer(id) ? DECODED_OK : KEEP;
  switch (id) {
    case NAME_HOST:
      return kind == HEAD_REQUEST ? takeHost(value, valueBytes) : DECODED_OK;
    case NAME_CONTENT_LENGTH:
      return takeLength(head, value, valueBytes);
    case NAME_CONTENT_TYPE: {
      if (isGrpcContentType(value, valueBytes)) setHeadFlag(head, HEAD_IS_GRPC);
      return KEEP;
    }
    case NAME_EXPECT: {
      if (kind != HEAD_REQUEST) return KEEP;
      // As in HTTP/1.1 (h1/framing.ts): RFC 9110 §10.1.1 knows no other.
      if (valueBytes != 12 || !equalIgnoringCase(value, CONTINUE, 12)) return refuse(REASON_BAD_REQUEST);
      setHeadFlag(head, HEAD_EXPECTS_CONTINUE);
      return KEEP;
    }
    case NAME_COOKIE: {
      const crumbs = load<u32>(head, HEAD_CRUMBS) + 1;
      if (crumbs > <u32>HEAD_CRUMBS_MAX) return refuse(REASON_HEADER_TOO_LARGE);
      store<u32>(head, crumbs, HEAD_CRUMBS);
      return KEEP;
    }
    default:
      return KEEP;
  }
}

/** Connection-specific fields make a message malformed, `te: trailers` apart (RFC 9113 §8.2.2). */
function takeHop(head: u32, kind: u32, id: u32, value: u32, valueBytes: u32): i32 {
  // HTTP2-Settings belongs to the upgrade that RFC 9113 §3.1 removed: it means nothing and goes no further.
  if (id == NAME_HTTP2_SETTINGS) return DECODED_OK;
  if (id != NAME_TE || kind != HEAD_REQUEST) return DECODED_MALFORMED;
  if (valueBytes != 8 || !equalIgnoringCase(value, TRAILERS, 8)) return DECODED_MALFORMED;
  setHeadFlag(head, HEAD_HAS_TE_TRAILERS);
  return DECODED_OK;
}

function takeLength(head: u32, value: u32, valueBytes: u32): i32 {
  if (load<i64>(head, HEAD_CONTENT_LENGTH) >= 0) return DECODED_MALFORMED; // a second one
  if (valueBytes == 0 || valueBytes > <u32>CONTENT_LENGTH_DIGITS_MAX) return DECODED_MALFORMED;
  let length: i64 = 0;
  for (let at = value; at < value + valueBytes; at += 1) {
    const digit = u32(load<u8>(at)) - 48;
    if (digit > 9) return DECODED_MALFORMED;
    length = length * 10 + i64(digit);
  }
  if (length > LENGTH_MAX) return DECODED_MALFORMED;
  store<i64>(head, length, HEAD_CONTENT_LENGTH);
  return DECODED_OK;
}

/** A field name: token characters, none in upper case (RFC 9113 §8.2.1); unknown pseudo-headers fail too. */
function isName(ptr: u32, length: u32): bool {
  if (length == 0) return false;
  // To servers that read CGI's variables these two frame a message, as their twins with a dash do.
  if (length == 17 && equalBytes(ptr, TRANSFER_UNDERSCORE, 17)) return false;
  if (length == 14 && equalBytes(ptr, LENGTH_UNDERSCORE, 14)) return false;
  for (let at = ptr; at < ptr + length; at += 1) {
    const byte = u32(load<u8>(at));
    if (!isTokenByte(byte) || byte - 65 < 26) return false;
  }
  return true;
}

/** A field value: no control but HTAB, no white space at either end (RFC 9113 §8.2.1, RFC 9110 §5.5). */
function isValue(ptr: u32, length: u32): bool {
  const first = u32(load<u8>(ptr));
  const last = u32(load<u8>(ptr + length - 1));
  if (first == 32 || first == 9 || last == 32 || last == 9) return false;
  return valueEnd(ptr, ptr + length) == ptr + length;
}
