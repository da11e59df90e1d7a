// The worker's file, for `new Worker(…)`: the main thread names it without loading it.

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** What a worker thread executes. */
export const workerEntry = new URL(`./worker.${extension}`, import.meta.url);

/**
 * Node's flags for it. node:ffi checks each argument in JavaScript shared by all functions, which costs 0.25 µs a call
 * and keeps V8 from compiling the call itself; what lies below it costs 0.03 µs (epoll/system-calls.ts). It is reached
 * by the way that Node's own tests use. They stand in place of the process's own, some of which no worker may have.
 */
export const workerFlags: readonly string[] = [
  "--expose-internals",
  "--disable-warning=internal/test/binding",
  "--disable-warning=ExperimentalWarning",
];
