// A terminal that keeps what is written to it.

import type { Terminal } from "../../src/cli/terminal.ts";

export interface FakeTerminal extends Terminal {
  readonly out: string;
  readonly err: string;
}

export function createFakeTerminal({ isTty = false } = {}): FakeTerminal {
  let out = "";
  let err = "";
  return {
    isTty,
    columns: 100,
    rows: 40,
    write(text) {
      out += text;
    },
    writeError(text) {
      err += text;
    },
    get out() {
      return out;
    },
    get err() {
      return err;
    },
  };
}
