// Which bytes may stand where in an HTTP message, for both versions: RFC 9110 §5.6.2 (token) and §5.5 (field value).
//
// One table of 256 bytes answers for single bytes; the `…End` functions walk a range sixteen bytes at a time and say
// where the first foreign byte is. They never read beyond `end`, so they may be used at the end of memory.

const TOKEN: u32 = 1;
const VALUE: u32 = 2;
const TARGET: u32 = 4;
const HOST: u32 = 8;
const DIGIT: u32 = 16;
const HEX: u32 = 32;

// Rows of sixteen bytes, 0x00 to 0xff; test/assembly/h1/syntax.test.ts compares them with the grammar.
// biome-ignore format: a table of sixteen columns
const CLASSES = <u32>memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  2, 7, 6, 3, 7, 7, 7, 7, 6, 6, 7, 7, 6, 15, 15, 6,
  63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 6, 6, 6, 6, 6, 6,
  6, 47, 47, 47, 47, 47, 47, 15, 15, 15, 15, 15, 15, 15, 15, 15,
  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 2, 6, 7, 15,
  7, 47, 47, 47, 47, 47, 47, 15, 15, 15, 15, 15, 15, 15, 15, 15,
  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 7, 6, 15, 0,
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
  2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
]);

/** tchar: methods, field names, connection options. */
export function isTokenByte(byte: u32): bool {
  return (load<u8>(CLASSES + byte) & TOKEN) != 0;
}

/** A byte of a field value: HTAB, SP, VCHAR and obs-text; no NUL, CR, LF, DEL or other control. */
export function isValueByte(byte: u32): bool {
  return (load<u8>(CLASSES + byte) & VALUE) != 0;
}

/** A raw byte of a request target: printable ASCII but `#` (a fragment) and `\` (a slash to some, not to others). */
export function isTargetByte(byte: u32): bool {
  return (load<u8>(CLASSES + byte) & TARGET) != 0;
}

/** A byte of a host name: unreserved of RFC 3986. Its sub-delims and escapes name no real host and are refused. */
export function isHostByte(byte: u32): bool {
  return (load<u8>(CLASSES + byte) & HOST) != 0;
}

export function isDigitByte(byte: u32): bool {
  return (load<u8>(CLASSES + byte) & DIGIT) != 0;
}

export function isHexByte(byte: u32): bool {
  return (load<u8>(CLASSES + byte) & HEX) != 0;
}

/** Where the first byte that no token may hold is; `end` when there is none. */
export function tokenEnd(ptr: u32, end: u32): u32 {
  let at = ptr;
  while (at < end && isTokenByte(load<u8>(at))) at += 1;
  return at;
}

/** Where the first byte that no field value may hold is; `end` when there is none. */
export function valueEnd(ptr: u32, end: u32): u32 {
  let at = ptr;
  while (at + 16 <= end) {
    const bytes = v128.load(at);
    // Controls but HTAB, and DEL.
    const controls = v128.andnot(i8x16.lt_u(bytes, i8x16.splat(0x20)), i8x16.eq(bytes, i8x16.splat(9)));
    const mask = i8x16.bitmask(v128.or(controls, i8x16.eq(bytes, i8x16.splat(0x7f))));
    if (mask != 0) return at + ctz<u32>(mask);
    at += 16;
  }
  while (at < end && isValueByte(load<u8>(at))) at += 1;
  return at;
}

/** Where the first byte that no request target may hold is; `end` when there is none. */
export function targetEnd(ptr: u32, end: u32): u32 {
  let at = ptr;
  while (at + 16 <= end) {
    const bytes = v128.load(at);
    // Unsigned distance from "!" is at most "~" - "!".
    const foreign = i8x16.gt_u(i8x16.sub(bytes, i8x16.splat(0x21)), i8x16.splat(0x5d));
    const special = v128.or(i8x16.eq(bytes, i8x16.splat(0x23)), i8x16.eq(bytes, i8x16.splat(0x5c)));
    const mask = i8x16.bitmask(v128.or(foreign, special));
    if (mask != 0) return at + ctz<u32>(mask);
    at += 16;
  }
  while (at < end && isTargetByte(load<u8>(at))) at += 1;
  return at;
}

/** Whether the target holds `%00`, which C programs behind us would take for its end. */
export function hasEscapedNul(ptr: u32, end: u32): bool {
  for (let at = ptr; at + 3 <= end; at += 1) {
    if (load<u8>(at) == 37 && load<u16>(at, 1) == 0x3030) return true;
  }
  return false;
}
