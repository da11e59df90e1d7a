// Plain lines to a descriptor, for the access log's text format: buffered, never blocking, dropped when nobody reads.

import { destination } from "pino";

/** The same bound as the JSON log's (base/log.ts). */
const BUFFERED_BYTES_MAX = 1024 * 1024;

export interface LineWriter {
  /** Adds the newline. */
  write(line: string): void;
  readonly dropped: number;
  /** Writes out what is buffered, synchronously; for the end of the process. */
  flush(): void;
}

export function createLineWriter(descriptor: number): LineWriter {
  const sink = destination({ fd: descriptor, sync: false, maxLength: BUFFERED_BYTES_MAX });
  let dropped = 0;
  const drop = () => {
    dropped += 1;
  };
  sink.on("drop", drop);
  // A closed pipe is the reader's choice; a proxy does not die of it.
  sink.on("error", drop);
  return {
    write: (line) => sink.write(`${line}\n`),
    get dropped() {
      return dropped;
    },
    flush() {
      try {
        sink.flushSync();
      } catch {
        // Nobody reads any more.
      }
    },
  };
}
