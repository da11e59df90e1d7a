// The Huffman code of string literals (RFC 7541 §5.2, Appendix B).
//
// Decoding looks up 12 bits at a time, which are two symbols for most of what fields hold (codes of 5 and 6 bits),
// out of 64 buffered ones. Codes of more than 12 bits are rare and found by comparing ranges, since the code is
// canonical. A wrong end (padding of more than 7 bits, a zero in it, EOS) is an error, as §5.2 demands.

import { ENGINE_MEMORY_BYTES } from "../../abi/limits.ts";
import {
  HUFFMAN_CODE_BITS,
  HUFFMAN_CODES,
  HUFFMAN_LONG,
  HUFFMAN_LOOKUP,
  HUFFMAN_LOOKUP_BITS,
  HUFFMAN_RANGES,
} from "./huffman-table.ts";

const EOS: u32 = 256;
const LONGEST_BITS: u32 = 30;

// What decodeHuffman does with its output: masks on its steps.
export const HUFFMAN_KEEP: u32 = 0xffffffff;
export const HUFFMAN_COUNT: u32 = 0;

/**
 * Decodes to `out`, returns how many bytes or -1. At most 8/5 of `length`, and one byte behind may be overwritten.
 * `keep` HUFFMAN_COUNT only counts: two bytes at `out` are overwritten.
 */
export function decodeHuffman(ptr: u32, length: u32, out: u32, keep: u32): i32 {
  const end = ptr + length;
  let at = ptr;
  let to = out;
  let total: u32 = 0;
  let buffer: u64 = 0; // next bits on the left
  let bits: u32 = 0; // how many of them count; true bits of the input may follow
  for (;;) {
    const left = end - at;
    if (left != 0) {
      buffer |= loadOctets(at, left) >> u64(bits);
      const octets = min((63 - bits) >> 3, left);
      at += octets;
      bits += octets << 3;
    }
    if (bits < HUFFMAN_LOOKUP_BITS) break;
    do {
      const entry = load<u32>(HUFFMAN_LOOKUP + (u32(buffer >> 52) << 2));
      let used = entry & 63;
      let symbols = (entry >> 6) & 3;
      if (entry != 0) {
        store<u16>(to, u16(entry >> 8));
        buffer <<= u64(entry); // modulo 64: the bits of both symbols, without a mask on the longest path of this loop
      } else {
        if (bits < LONGEST_BITS && at < end) break; // fill up first
        const found = matchLong(u32(buffer >> 32));
        used = found >> 16;
        symbols = 1;
        if (used > bits || (found & 0xffff) == EOS) return -1;
        store<u8>(to, u8(found));
        buffer <<= u64(used);
      }
      total += symbols;
      to += symbols & keep;
      bits -= used;
    } while (bits >= HUFFMAN_LOOKUP_BITS);
  }
  while (bits != 0) {
    const entry = load<u32>(HUFFMAN_LOOKUP + ((u32(buffer >> 52) | (0xfff >> bits)) << 2));
    const used = u32(load<u8>(HUFFMAN_CODE_BITS + ((entry >> 8) & 255)));
    if (entry == 0 || used > bits) break;
    store<u8>(to, u8(entry >> 8));
    total += 1;
    to += 1 & keep;
    buffer <<= u64(used);
    bits -= used;
  }
  if (bits > 7 || u32(buffer >> 57) != ((127 << (7 - bits)) & 127)) return -1;
  return total;
}

/** The next 8 octets on the left, zeros behind the last of `left`. Reads behind it, but not behind memory. */
function loadOctets(at: u32, left: u32): u64 {
  if (left >= 8) return bswap<u64>(load<u64>(at));
  if (at <= <u32>ENGINE_MEMORY_BYTES - 8) return bswap<u64>(load<u64>(at)) & ~(<u64>-1 >> u64(left << 3));
  let octets: u64 = 0;
  for (let index: u32 = 0; index < left; index += 1) octets |= u64(load<u8>(at + index)) << u64(56 - (index << 3));
  return octets;
}

/** The first symbol of 32 bits whose code is longer than a lookup: symbol, and its length << 16. */
function matchLong(window: u32): u32 {
  let range: usize = HUFFMAN_RANGES;
  for (let bits = HUFFMAN_LOOKUP_BITS + 1; bits < LONGEST_BITS; bits += 1) {
    const offset = (window >> (32 - bits)) - load<u32>(range);
    if (offset < load<u32>(range, 4)) {
      return u32(load<u16>(HUFFMAN_LONG + ((load<u32>(range, 8) + offset) << 1))) | (bits << 16);
    }
    range += 12;
  }
  const last = (window >> 2) - load<u32>(range); // the code is complete: what is left has 30 bits
  return u32(load<u16>(HUFFMAN_LONG + ((load<u32>(range, 8) + last) << 1))) | (LONGEST_BITS << 16);
}

/** How many bytes encodeHuffman will write. */
export function huffmanLength(ptr: u32, length: u32): u32 {
  const end = ptr + length;
  let bits: u32 = 7;
  for (let at = ptr; at < end; at += 1) bits += load<u8>(HUFFMAN_CODE_BITS + u32(load<u8>(at)));
  return bits >> 3;
}

/** Encodes at `out`, returns the new `out`. */
export function encodeHuffman(out: u32, ptr: u32, length: u32): u32 {
  const end = ptr + length;
  let to = out;
  let buffer: u64 = 0; // last bits on the right
  let bits: u32 = 0;
  for (let at = ptr; at < end; at += 1) {
    const symbol = u32(load<u8>(at));
    const used = u32(load<u8>(HUFFMAN_CODE_BITS + symbol));
    buffer = (buffer << u64(used)) | u64(load<u32>(HUFFMAN_CODES + (symbol << 2)));
    bits += used;
    if (bits >= 32) {
      bits -= 32;
      store<u32>(to, bswap<u32>(u32(buffer >> u64(bits))));
      to += 4;
    }
  }
  const padding = (8 - (bits & 7)) & 7;
  buffer = (buffer << u64(padding)) | u64((1 << padding) - 1);
  bits += padding;
  while (bits != 0) {
    bits -= 8;
    store<u8>(to, u8(buffer >> u64(bits)));
    to += 1;
  }
  return to;
}
