// Gives back what only the start needed.
//
// Reading a mesh compiles schemas, YAML and the snapshot's compiler; afterwards this thread hardly works, so V8 sees no
// reason to collect, and the bytecode and the garbage of the start stay resident for the sidecar's life. One thorough
// collection, 20 ms of this thread and none of a worker's, gives 3 MB back. What is needed again is compiled again.

/** V8's collection as Node's `--expose-gc` has it, the flag that bin/pillion gives. */
type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** Collects once, thoroughly; does nothing where Node was started without the flag. */
export function releaseStartMemory(): void {
  const { gc } = globalThis as { gc?: Collect };
  gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
