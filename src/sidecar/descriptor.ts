// Duplicates of a descriptor, which Node does not offer: fcntl(2) through node:ffi.
//
// Why it is needed: every worker listens on the same socket, and a handle of libuv closes its descriptor when its
// worker ends. So each worker gets a duplicate of its own, and the main thread's stays open whatever becomes of them.

import { closeSync } from "node:fs";
import { pillionError } from "../base/index.ts";

/** F_DUPFD_CLOEXEC of Linux (fcntl.h: F_LINUX_SPECIFIC_BASE + 6), on every architecture. */
const F_DUPFD_CLOEXEC = 1030;
/** Not one of the standard three. */
const DESCRIPTOR_MIN = 3;

let fcntl: ((descriptor: number, command: number, argument: number) => number) | undefined;

/** A new descriptor for the same socket; whoever asked for it closes it. Throws when the process may have no more. */
export function duplicateDescriptor(descriptor: number): number {
  fcntl ??= loadFcntl();
  const duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, DESCRIPTOR_MIN);
  if (duplicate >= DESCRIPTOR_MIN) return duplicate;
  throw pillionError("PILLION_LISTEN", {
    address: `descriptor ${descriptor}`,
    problem: "it cannot be duplicated: the process has as many open files as it may (ulimit -n)",
  });
}

export function closeDescriptor(descriptor: number): void {
  closeSync(descriptor);
}

function loadFcntl(): (descriptor: number, command: number, argument: number) => number {
  const types = { fcntl: { arguments: ["i32", "i32", "i32"], return: "i32" } } as const;
  // Asked for here, because merely importing it prints a warning, and most commands open no port.
  const { dlopen } = process.getBuiltinModule("node:ffi");
  // The C library that Node itself is linked with.
  return dlopen(null, types).functions.fcntl;
}
