// The hashes of the route program, as assembly/engine/route computes them: change both or neither.

import { PROGRAM_HASH_PRIME, PROGRAM_HASH_SEED } from "../../assembly/abi/route-program.ts";
import { mixHash } from "../wasm/index.ts";

/** Hash of a path of a virtual host: from the first byte, so that one pass meets every prefix. */
export function hashPath(vhost: number, bytes: Uint8Array): number {
  let hash = Math.imul(PROGRAM_HASH_SEED ^ vhost, PROGRAM_HASH_PRIME);
  for (const byte of bytes) hash = Math.imul(hash ^ byte, PROGRAM_HASH_PRIME);
  return mixHash(hash);
}

/** Hash of a host: from the last byte, so that one pass meets every suffix. */
export function hashHost(bytes: Uint8Array): number {
  let hash = PROGRAM_HASH_SEED;
  for (let at = bytes.length - 1; at >= 0; at -= 1) hash = Math.imul(hash ^ bytes[at]!, PROGRAM_HASH_PRIME);
  return mixHash(hash);
}

/** Murmur3's body over words: every single change of a word changes the sum. */
export function checksumOf(words: Uint32Array): number {
  let sum = 0;
  for (const word of words) {
    sum ^= Math.imul(rotate(Math.imul(word, 0x2c1b3c6d), 15), 0x297a2d39);
    sum = (Math.imul(rotate(sum, 13), 5) + 0x36546b64) | 0;
  }
  return sum >>> 0;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
