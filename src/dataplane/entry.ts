// The worker's file, for `new Worker(…)`: the main thread names it without loading it.

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** What a worker thread executes. */
export const workerEntry = new URL(`./worker.${extension}`, import.meta.url);
