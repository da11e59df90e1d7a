// Base64 with padding (RFC 4648 §4), of short values in fields.

const ALPHABET: usize = memory.data<u8>([
  65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 97, 98, 99,
  100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 48,
  49, 50, 51, 52, 53, 54, 55, 56, 57, 43, 47,
]);
const PADDING: u8 = 61;

/** Writes `length` bytes at `ptr` as text to `out`; returns how many characters: four for three bytes or less. */
export function encodeBase64(ptr: u32, length: u32, out: u32): u32 {
  let to = out;
  for (let at: u32 = 0; at < length; at += 3) {
    const left = length - at;
    let bits = u32(load<u8>(ptr + at)) << 16;
    if (left > 1) bits |= u32(load<u8>(ptr + at + 1)) << 8;
    if (left > 2) bits |= u32(load<u8>(ptr + at + 2));
    store<u8>(to, letter(bits >> 18));
    store<u8>(to + 1, letter(bits >> 12));
    store<u8>(to + 2, left > 1 ? letter(bits >> 6) : PADDING);
    store<u8>(to + 3, left > 2 ? letter(bits) : PADDING);
    to += 4;
  }
  return to - out;
}

/** Whether a byte is a character of the alphabet, padding not. */
export function isBase64(byte: u32): bool {
  return (byte | 32) - 97 < 26 || byte - 48 < 10 || byte == 43 || byte == 47;
}

function letter(bits: u32): u8 {
  return load<u8>(u32(ALPHABET) + (bits & 63));
}
