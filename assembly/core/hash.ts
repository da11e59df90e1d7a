// 32-bit hashing for rings and tables: MurmurHash3 (Appleby, public domain), x86_32 variant.
//
// It spreads well and is quick on short keys; it resists nobody who chooses keys on purpose. Where a stranger can
// fill one chain of a table, the seed must be random. src/wasm/hash.ts is the same function on the other side.

/** Spreads 32 bits: MurmurHash3's finaliser, a bijection. */
export function mixHash(value: u32): u32 {
  let mixed = value;
  mixed ^= mixed >> 16;
  mixed *= 0x85ebca6b;
  mixed ^= mixed >> 13;
  mixed *= 0xc2b2ae35;
  return mixed ^ (mixed >> 16);
}

/** Hashes `length` bytes at `ptr`. */
export function hashBytes(ptr: u32, length: u32, seed: u32): u32 {
  let hash = seed;
  let at: u32 = 0;
  while (at + 4 <= length) {
    hash = rotl<u32>(hash ^ scrambleBlock(load<u32>(ptr + at)), 13) * 5 + 0xe6546b64;
    at += 4;
  }
  let tail: u32 = 0;
  for (let shift: u32 = 0; at < length; shift += 8) {
    tail |= u32(load<u8>(ptr + at)) << shift;
    at += 1;
  }
  return mixHash(hash ^ scrambleBlock(tail) ^ length);
}

/** Zero stays zero, so an empty tail changes nothing. */
function scrambleBlock(block: u32): u32 {
  return rotl<u32>(block * 0xcc9e2d51, 15) * 0x1b873593;
}
