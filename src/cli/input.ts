// Reading what the operator names: files, and `-` for stdin.

import { readFile } from "node:fs/promises";
import { messageOf, pillionError } from "../base/index.ts";

/** The text of a file, or of stdin for `-`. */
export async function readText(fileName: string): Promise<string> {
  if (fileName === "-") return (await import("node:stream/consumers")).text(process.stdin);
  try {
    return await readFile(fileName, "utf8");
  } catch (error) {
    throw pillionError("PILLION_FILE_READ", { path: fileName, problem: messageOf(error) }, error);
  }
}

/** For an option that may be given several times. */
export function collectFile(fileName: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), fileName];
}
