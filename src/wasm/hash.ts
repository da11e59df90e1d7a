// MurmurHash3 (x86_32) in TypeScript: the twin of assembly/core/hash.ts, so both sides place a key alike.
//
// The balancer's rings are built from hashes of instance ids. Every sidecar of a mesh must compute the same ones,
// therefore the text is hashed as UTF-8 and the function is part of the interface between versions.

const encoder = new TextEncoder();

/** Hashes a text's UTF-8 bytes to 32 bits, unsigned. */
export function hashText(text: string, seed = 0): number {
  return hashBytes(encoder.encode(text), seed);
}

/** Hashes bytes to 32 bits, unsigned. */
export function hashBytes(bytes: Uint8Array, seed = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let hash = seed | 0;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    hash = (Math.imul(rotateLeft(hash ^ scrambleBlock(view.getUint32(at, true)), 13), 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let shift = 0; at < bytes.length; shift += 8) {
    tail |= view.getUint8(at) << shift;
    at += 1;
  }
  return mixHash(hash ^ scrambleBlock(tail) ^ bytes.length);
}

/** Spreads 32 bits over 32 bits: MurmurHash3's finaliser. */
export function mixHash(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function scrambleBlock(block: number): number {
  return Math.imul(rotateLeft(Math.imul(block, 0xcc9e2d51), 15), 0x1b873593);
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
