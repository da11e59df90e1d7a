// What both versions of HTTP must know about messages besides their syntax: methods, bodies, trailers, content types.
//
// RFC 9110 §9 (methods), §6.4 and §15 (which responses have content), §6.5.1 (which fields may not be trailers).

import {
  NAME_AUTHORIZATION,
  NAME_CACHE_CONTROL,
  NAME_CONTENT_ENCODING,
  NAME_CONTENT_LENGTH,
  NAME_CONTENT_TYPE,
  NAME_COOKIE,
  NAME_EXPECT,
  NAME_HOP_FIRST,
  NAME_HOP_LAST,
  NAME_HOST,
  NAME_OTHER,
  NAME_PROXY_AUTHORIZATION,
  NAME_PSEUDO_LAST,
  NAME_SET_COOKIE,
  NAME_TRAILER,
} from "../../abi/field-names.ts";
import { equalBytes, equalIgnoringCase } from "../../core/bytes.ts";
import {
  METHOD_CONNECT,
  METHOD_DELETE,
  METHOD_GET,
  METHOD_HEAD,
  METHOD_OPTIONS,
  METHOD_OTHER,
  METHOD_PATCH,
  METHOD_POST,
  METHOD_PUT,
  METHOD_TRACE,
} from "./head.ts";

// Methods as little-endian words, so that one comparison each is enough.
const GET_: u32 = 0x544547;
const PUT_: u32 = 0x545550;
const HEAD_: u32 = 0x44414548;
const POST_: u32 = 0x54534f50;
const CONNECT_ = <u32>memory.data<u8>([67, 79, 78, 78, 69, 67, 84]);
const OPTIONS_ = <u32>memory.data<u8>([79, 80, 84, 73, 79, 78, 83]);
const DELETE_ = <u32>memory.data<u8>([68, 69, 76, 69, 84, 69]);
const PATCH_ = <u32>memory.data<u8>([80, 65, 84, 67, 72]);
const TRACE_ = <u32>memory.data<u8>([84, 82, 65, 67, 69]);
/** application/grpc */
const GRPC = <u32>memory.data<u8>([97, 112, 112, 108, 105, 99, 97, 116, 105, 111, 110, 47, 103, 114, 112, 99]);

/** METHOD_* of a method's text; methods are case-sensitive (RFC 9110 §9.1). */
export function methodIdOf(ptr: u32, length: u32): u32 {
  switch (length) {
    case 3: {
      const word = u32(load<u16>(ptr)) | (u32(load<u8>(ptr, 2)) << 16);
      if (word == GET_) return METHOD_GET;
      return word == PUT_ ? METHOD_PUT : METHOD_OTHER;
    }
    case 4: {
      const word = load<u32>(ptr);
      if (word == POST_) return METHOD_POST;
      return word == HEAD_ ? METHOD_HEAD : METHOD_OTHER;
    }
    case 5: {
      if (equalBytes(ptr, PATCH_, 5)) return METHOD_PATCH;
      return equalBytes(ptr, TRACE_, 5) ? METHOD_TRACE : METHOD_OTHER;
    }
    case 6:
      return equalBytes(ptr, DELETE_, 6) ? METHOD_DELETE : METHOD_OTHER;
    case 7: {
      if (equalBytes(ptr, OPTIONS_, 7)) return METHOD_OPTIONS;
      return equalBytes(ptr, CONNECT_, 7) ? METHOD_CONNECT : METHOD_OTHER;
    }
    default:
      return METHOD_OTHER;
  }
}

/** Whether a request of this method is expected to carry content, so that "none" is worth saying (RFC 9110 §8.6). */
export function expectsContent(methodId: u32): bool {
  return methodId == METHOD_POST || methodId == METHOD_PUT || methodId == METHOD_PATCH;
}

/** Whether a response with this status never has content, whatever its fields say (RFC 9110 §6.4.1). */
export function isBodyless(status: u32): bool {
  return status < 200 || status == 204 || status == 304;
}

/** Whether a content type is gRPC's: `application/grpc`, alone or followed by `+`, `;` or a space. */
export function isGrpcContentType(ptr: u32, length: u32): bool {
  if (length < 16 || !equalIgnoringCase(ptr, GRPC, 16)) return false;
  if (length == 16) return true;
  const next = u32(load<u8>(ptr, 16));
  return next == 43 || next == 59 || next == 32;
}

/**
 * Whether a known field may not travel as a trailer: it frames, routes, authenticates or changes how the content is
 * read (RFC 9110 §6.5.1). Trailers are never merged into the head, and these not even forwarded.
 */
export function isForbiddenTrailer(nameId: u32): bool {
  if (nameId == NAME_OTHER) return false;
  if (nameId <= <u32>NAME_PSEUDO_LAST || (nameId >= <u32>NAME_HOP_FIRST && nameId <= <u32>NAME_HOP_LAST)) return true;
  switch (nameId) {
    case NAME_HOST:
    case NAME_CONTENT_LENGTH:
    case NAME_CONTENT_TYPE:
    case NAME_CONTENT_ENCODING:
    case NAME_TRAILER:
    case NAME_EXPECT:
    case NAME_COOKIE:
    case NAME_SET_COOKIE:
    case NAME_AUTHORIZATION:
    case NAME_PROXY_AUTHORIZATION:
    case NAME_CACHE_CONTROL:
      return true;
    default:
      return false;
  }
}
