// SHA-1 (RFC 3174), for the one place where a protocol still asks for it: Sec-WebSocket-Accept (RFC 6455 §4.2.2).
//
// It guards nothing there: it only shows that a server has read the handshake. So this is the textbook form, in a few
// hundred bytes of scratch that the caller provides; it is not made for secrets or for speed.

import { readU32, writeU32 } from "./bytes.ts";

/** Scratch that `sha1` works in: eighty words, and the last block or two. */
export const SHA1_SCRATCH_BYTES: u32 = 320 + 128;
export const SHA1_BYTES: u32 = 20;

/** Writes the digest of `length` bytes at `ptr` to `out` (20 bytes); `scratch` has SHA1_SCRATCH_BYTES. */
export function sha1(ptr: u32, length: u32, out: u32, scratch: u32): void {
  writeU32(out, 0x67452301);
  writeU32(out + 4, 0xefcdab89);
  writeU32(out + 8, 0x98badcfe);
  writeU32(out + 12, 0x10325476);
  writeU32(out + 16, 0xc3d2e1f0);
  const whole = length & ~63;
  for (let at: u32 = 0; at < whole; at += 64) addBlock(ptr + at, out, scratch);
  // RFC 3174 §4: a one bit, zeros, and the length in bits in the last eight bytes of a block.
  const rest = length - whole;
  const last = scratch + 320;
  const lastBytes: u32 = rest < 56 ? 64 : 128;
  memory.fill(last, 0, lastBytes);
  memory.copy(last, ptr + whole, rest);
  store<u8>(last + rest, 0x80);
  store<u64>(last + lastBytes - 8, bswap<u64>(u64(length) << 3));
  for (let at: u32 = 0; at < lastBytes; at += 64) addBlock(last + at, out, scratch);
}

/** RFC 3174 §6.1. */
function addBlock(block: u32, out: u32, words: u32): void {
  for (let t: u32 = 0; t < 16; t += 1) store<u32>(words + t * 4, readU32(block + t * 4));
  for (let t: u32 = 16; t < 80; t += 1) {
    const at = words + t * 4;
    const mixed = load<u32>(at - 12) ^ load<u32>(at - 32) ^ load<u32>(at - 56) ^ load<u32>(at - 64);
    store<u32>(at, rotl<u32>(mixed, 1));
  }
  let a = readU32(out);
  let b = readU32(out + 4);
  let c = readU32(out + 8);
  let d = readU32(out + 12);
  let e = readU32(out + 16);
  for (let t: u32 = 0; t < 80; t += 1) {
    const next = rotl<u32>(a, 5) + choose(t, b, c, d) + e + load<u32>(words + t * 4);
    e = d;
    d = c;
    c = rotl<u32>(b, 30);
    b = a;
    a = next;
  }
  writeU32(out, readU32(out) + a);
  writeU32(out + 4, readU32(out + 4) + b);
  writeU32(out + 8, readU32(out + 8) + c);
  writeU32(out + 12, readU32(out + 12) + d);
  writeU32(out + 16, readU32(out + 16) + e);
}

/** The function and the constant of step `t` (RFC 3174 §5). */
function choose(t: u32, b: u32, c: u32, d: u32): u32 {
  if (t < 20) return ((b & c) | (~b & d)) + 0x5a827999;
  if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (t < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}
