// Duplicates of a descriptor, which Node does not offer: fcntl(2) through node:ffi.
//
// Why it is needed: every worker listens on the same socket, and a handle of libuv closes its descriptor when its
// worker ends. So each worker gets a duplicate of its own, and the main thread's stays open whatever becomes of them.

import { closeSync } from "node:fs";
import { assert } from "../base/index.ts";

/** F_DUPFD_CLOEXEC of Linux (fcntl.h: F_LINUX_SPECIFIC_BASE + 6), on every architecture. */
const F_DUPFD_CLOEXEC = 1030;
/** Not one of the standard three. */
const DESCRIPTOR_MIN = 3;

let fcntl: ((descriptor: number, command: number, argument: number) => number) | undefined;

/** A new descriptor for the same socket; whoever asked for it closes it. */
export function duplicateDescriptor(descriptor: number): number {
  fcntl ??= loadFcntl();
  const duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, DESCRIPTOR_MIN);
  // EMFILE apart, only a wrong descriptor is refused; either way there is nothing to go on with.
  assert(duplicate >= DESCRIPTOR_MIN, `descriptor ${descriptor} cannot be duplicated`);
  return duplicate;
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
