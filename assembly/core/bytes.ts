// Bytes in linear memory: big-endian fields, ASCII case, comparison.
//
// Wasm is little-endian and allows unaligned access, so a big-endian field is one load and a swap.

/** Reads a 16-bit big-endian field. */
export function readU16(ptr: u32): u32 {
  return (u32(load<u8>(ptr)) << 8) | u32(load<u8>(ptr, 1));
}

/** Reads a 24-bit big-endian field. */
export function readU24(ptr: u32): u32 {
  return (u32(load<u8>(ptr)) << 16) | (u32(load<u8>(ptr, 1)) << 8) | u32(load<u8>(ptr, 2));
}

/** Reads a 32-bit big-endian field. */
export function readU32(ptr: u32): u32 {
  return bswap<u32>(load<u32>(ptr));
}

/** Writes a 16-bit big-endian field. */
export function writeU16(ptr: u32, value: u32): void {
  store<u8>(ptr, u8(value >> 8));
  store<u8>(ptr, u8(value), 1);
}

/** Writes a 24-bit big-endian field. */
export function writeU24(ptr: u32, value: u32): void {
  store<u8>(ptr, u8(value >> 16));
  store<u8>(ptr, u8(value >> 8), 1);
  store<u8>(ptr, u8(value), 2);
}

/** Writes a 32-bit big-endian field. */
export function writeU32(ptr: u32, value: u32): void {
  store<u32>(ptr, bswap<u32>(value));
}

/** An ASCII letter in lower case; every other byte as it is. */
export function lowerCase(byte: u32): u32 {
  return byte - 65 < 26 ? byte + 32 : byte;
}

/** Whether two ranges hold the same bytes. Whole words; the last one overlaps the one before it. */
export function equalBytes(left: u32, right: u32, length: u32): bool {
  if (length >= 8) {
    const last = length - 8;
    for (let at: u32 = 0; at < last; at += 8) {
      if (load<u64>(left + at) != load<u64>(right + at)) return false;
    }
    return load<u64>(left + last) == load<u64>(right + last);
  }
  if (length >= 4) {
    if (load<u32>(left) != load<u32>(right)) return false;
    return load<u32>(left + length - 4) == load<u32>(right + length - 4);
  }
  for (let at: u32 = 0; at < length; at += 1) {
    if (load<u8>(left + at) != load<u8>(right + at)) return false;
  }
  return true;
}

/**
 * Copies between ranges that do not overlap. For texts of fields: `memory.copy` leaves the module, which costs more
 * than the whole copy of a short text.
 */
export function copyBytes(to: u32, from: u32, length: u32): void {
  if (length >= 16) {
    if (length > 256) {
      memory.copy(to, from, length);
      return;
    }
    const last = length - 16;
    for (let at: u32 = 0; at < last; at += 16) v128.store(to + at, v128.load(from + at));
    v128.store(to + last, v128.load(from + last));
    return;
  }
  if (length >= 8) {
    const last = load<u64>(from + length - 8);
    store<u64>(to, load<u64>(from));
    store<u64>(to + length - 8, last);
    return;
  }
  if (length >= 4) {
    const last = load<u32>(from + length - 4);
    store<u32>(to, load<u32>(from));
    store<u32>(to + length - 4, last);
    return;
  }
  for (let at: u32 = 0; at < length; at += 1) store<u8>(to + at, load<u8>(from + at));
}

/** Whether two ranges are equal but for ASCII case. */
export function equalIgnoringCase(left: u32, right: u32, length: u32): bool {
  for (let at: u32 = 0; at < length; at += 1) {
    if (lowerCase(load<u8>(left + at)) != lowerCase(load<u8>(right + at))) return false;
  }
  return true;
}

/** Writes `value` in decimal at `ptr`; returns how many digits. At most 20. */
export function writeDecimal(ptr: u32, value: u64): u32 {
  let digits: u32 = 1;
  let rest = value / 10;
  while (rest != 0) {
    digits += 1;
    rest /= 10;
  }
  let at = ptr + digits;
  rest = value;
  do {
    at -= 1;
    store<u8>(at, u8(48 + (rest % 10)));
    rest /= 10;
  } while (at != ptr);
  return digits;
}

/** Writes `value` in lower-case hexadecimal at `ptr`; returns how many digits. At most 16. */
export function writeHex(ptr: u32, value: u64): u32 {
  const digits: u32 = value == 0 ? 1 : u32((67 - clz<u64>(value)) >> 2);
  for (let index: u32 = 0; index < digits; index += 1) {
    const nibble = u32((value >> (4 * u64(digits - 1 - index))) & 15);
    store<u8>(ptr + index, u8(nibble < 10 ? 48 + nibble : 87 + nibble));
  }
  return digits;
}
