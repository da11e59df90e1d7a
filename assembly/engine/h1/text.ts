// The words that our side of HTTP/1.1 writes, and the copying of short texts.
//
// memory.copy costs a call out of the module; most texts of a head are shorter than that is worth, so they are copied
// sixteen bytes at a time, writing up to fifteen bytes too far. Whoever calls has reserved that much.

import { ENGINE_MEMORY_BYTES } from "../../abi/limits.ts";

/** Bytes behind a text that copyText may overwrite. */
export const COPY_SLACK_BYTES: u32 = 16;
/** Longer texts go to memory.copy. */
const SHORT_BYTES: u32 = 128;

/** content-length: */
export const TEXT_CONTENT_LENGTH: u32 = <u32>(
  memory.data<u8>([99, 111, 110, 116, 101, 110, 116, 45, 108, 101, 110, 103, 116, 104, 58, 32])
);
export const TEXT_CONTENT_LENGTH_BYTES: u32 = 16;
/** transfer-encoding: chunked */
export const TEXT_CHUNKED: u32 = <u32>(
  memory.data<u8>([
    116, 114, 97, 110, 115, 102, 101, 114, 45, 101, 110, 99, 111, 100, 105, 110, 103, 58, 32, 99, 104, 117, 110, 107,
    101, 100, 13, 10,
  ])
);
export const TEXT_CHUNKED_BYTES: u32 = 28;
/** connection: */
export const TEXT_CONNECTION: u32 = <u32>memory.data<u8>([99, 111, 110, 110, 101, 99, 116, 105, 111, 110, 58, 32]);
export const TEXT_CONNECTION_BYTES: u32 = 12;
/** close */
export const TEXT_CLOSE: u32 = <u32>memory.data<u8>([99, 108, 111, 115, 101]);
export const TEXT_CLOSE_BYTES: u32 = 5;
/** keep-alive */
export const TEXT_KEEP_ALIVE: u32 = <u32>memory.data<u8>([107, 101, 101, 112, 45, 97, 108, 105, 118, 101]);
export const TEXT_KEEP_ALIVE_BYTES: u32 = 10;
/** upgrade: */
export const TEXT_UPGRADE: u32 = <u32>memory.data<u8>([117, 112, 103, 114, 97, 100, 101, 58, 32]);
export const TEXT_UPGRADE_BYTES: u32 = 9;
/** te: trailers */
export const TEXT_TE_TRAILERS: u32 = <u32>(
  memory.data<u8>([116, 101, 58, 32, 116, 114, 97, 105, 108, 101, 114, 115, 13, 10])
);
export const TEXT_TE_TRAILERS_BYTES: u32 = 14;
/** host: */
export const TEXT_HOST: u32 = <u32>memory.data<u8>([104, 111, 115, 116, 58, 32]);
export const TEXT_HOST_BYTES: u32 = 6;
/** cookie: */
export const TEXT_COOKIE: u32 = <u32>memory.data<u8>([99, 111, 111, 107, 105, 101, 58, 32]);
export const TEXT_COOKIE_BYTES: u32 = 8;

/** CR LF, as a little-endian word. */
export const CRLF: u16 = 0x0a0d;
/** ": ", as a little-endian word. */
export const COLON_SPACE: u16 = 0x203a;
/** ", ", as a little-endian word. */
export const COMMA_SPACE: u16 = 0x202c;
/** "; ", as a little-endian word. */
export const SEMICOLON_SPACE: u16 = 0x203b;
/** "HTTP/1.1", as a little-endian word. */
export const HTTP_1_1: u64 = (u64(0x312e312f) << 32) | 0x50545448;

/** Copies a text; returns where the next one goes. */
export function copyText(to: u32, from: u32, length: u32): u32 {
  if (length > SHORT_BYTES || from + length + COPY_SLACK_BYTES > <u32>ENGINE_MEMORY_BYTES) {
    memory.copy(to, from, length);
    return to + length;
  }
  for (let at: u32 = 0; at < length; at += 16) v128.store(to + at, v128.load(from + at));
  return to + length;
}
