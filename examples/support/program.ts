// What every example server does around its own work: flags in, one line out, a clean end.
//
// `--listen host:port` (port 0 for any) and `--name`; the line `listening on host:port` tells who started it where to
// connect. SIGTERM and SIGINT end it; so does the end of the parent that started it with an IPC channel.

import { parseArgs } from "node:util";

/** The flags that all example servers share. */
export interface ProgramFlags {
  readonly listen: string;
  readonly name: string;
  /** SQLite file of the users example. */
  readonly database: string;
}

/** Reads the command line; a wrong flag ends the program with exit 2. */
export function parseProgramFlags(defaults: ProgramFlags): ProgramFlags {
  try {
    const { values } = parseArgs({
      options: {
        listen: { type: "string", default: defaults.listen },
        name: { type: "string", default: defaults.name },
        database: { type: "string", default: defaults.database },
      },
    });
    return values;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nusage: [--listen host:port] [--name name] [--database file]\n`);
    return process.exit(2);
  }
}

/** Announces the address and stops by `stop` when asked to; a second signal ends at once. */
export function announce(address: string, stop: () => Promise<void>): void {
  process.stdout.write(`listening on ${address}\n`);
  let isStopping = false;
  const end = () => {
    if (isStopping) process.exit(1);
    isStopping = true;
    stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  if (process.send !== undefined) process.on("disconnect", end);
}
