// Gives back what only the start needed.
//
// Reading a mesh compiles schemas, YAML and the snapshot's compiler; afterwards this thread hardly works, so V8 sees no
// reason to collect, and the bytecode and the garbage of the start stay resident for the sidecar's life. One thorough
// collection, 20 ms of this thread and none of a worker's, gives 3 MB back. What is needed again is compiled again.
//
// The same holds for the program itself: the dynamic linker's tables, the sources of Node's modules, V8's snapshot and
// its parsers are 30 MB of pages that this process looked at once. It lets go of them all; the kernel still has them
// in its page cache, and one that is touched again is mapped again, 64 KiB at a time, without a disk.

import { readFileSync } from "node:fs";

/** V8's collection as Node's `--expose-gc` has it, the flag that bin/pillion gives. */
type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** madvise(2), asm-generic/mman-common.h: unmap these pages; what a file holds is found in it when it is touched. */
const MADV_DONTNEED = 4;
/** proc(5), smaps: a mapping that is private and cannot be written, and its file. */
const READ_ONLY_FILE = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ [0-9a-f:]+ \d+ +\//;
/** None of it was ever written: relocated tables, read-only since, are in no file. */
const IS_UNTOUCHED = /^Anonymous: +0 kB$/m;

/** Collects once, thoroughly, and unmaps the program; does neither where this Node or this system cannot. */
export function releaseStartMemory(): void {
  const { gc } = globalThis as { gc?: Collect };
  gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  if (process.platform === "linux") releaseProgram();
}

function releaseProgram(): void {
  const types = { madvise: { arguments: ["u64", "u64", "i32"], return: "i32" } } as const;
  const { madvise } = process.getBuiltinModule("node:ffi").dlopen(null, types).functions;
  for (const mapping of readFileSync("/proc/self/smaps", "utf8").split(/\n(?=[0-9a-f]+-)/)) {
    const [, from, to] = READ_ONLY_FILE.exec(mapping) ?? [];
    if (from === undefined || !IS_UNTOUCHED.test(mapping)) continue;
    madvise(BigInt(`0x${from}`), BigInt(`0x${to}`) - BigInt(`0x${from}`), MADV_DONTNEED);
  }
}
