// Reads the regular files of a .tar.gz (POSIX ustar): 512-byte headers, name at 0, size in octal at 124, type at 156.

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const BLOCK_BYTES = 512;

/** Names and contents, in their order. */
export function* readTarball(path: string): Generator<{ name: string; content: Buffer }> {
  const archive = gunzipSync(readFileSync(path));
  for (let at = 0; at + BLOCK_BYTES <= archive.length && archive[at] !== 0; ) {
    const name = archive.toString("latin1", at, at + 100).replace(/\0.*$/s, "");
    const size = Number.parseInt(archive.toString("latin1", at + 124, at + 136), 8);
    const type = archive[at + 156];
    const start = at + BLOCK_BYTES;
    if (type === 0x30 || type === 0) yield { name, content: archive.subarray(start, start + size) };
    at = start + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
}
