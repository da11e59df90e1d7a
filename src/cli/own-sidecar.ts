// Asking the sidecar of this host over its admin port: what `wait` and `drain` have in common.
//
// node:http without an agent, because these two run as hooks inside of pods, beside the sidecar, in its memory limit:
// they must start fast and leave nothing open behind them.

import { request } from "node:http";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Address, formatAddress, type Parsed, parseDuration, pillionError } from "../base/index.ts";
import { envNameOf, PROCESS_FLAGS } from "../config/index.ts";

/** How often a condition is looked at. */
export const LOOK_MS = 100;
/** The admin port is on this host and answers at once; longer than this is a hung process. */
const ANSWER_MS = 2_000;

export interface AdminAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Adds `--admin` and `--timeout`. */
export function addOwnSidecarOptions(command: Command, timeout: string): Command {
  const { name, valueName, default: written } = PROCESS_FLAGS.admin;
  const admin = new Option(`--${name} <${valueName}>`, "where the sidecar's admin port is")
    .env(envNameOf(PROCESS_FLAGS.admin))
    .argParser(parseAdmin)
    .default(parseAdmin(written), written);
  const limit = new Option("--timeout <DURATION>", "give up after this time")
    .argParser((text: string) => accept(parseDuration(text)))
    .default(accept(parseDuration(timeout)), timeout);
  return command.addOption(admin).addOption(limit);
}

/** What commander hands over for the two. */
export interface OwnSidecarOptions {
  readonly admin: Address;
  /** Milliseconds. */
  readonly timeout: number;
}

function parseAdmin(text: string): Address {
  const address = accept(PROCESS_FLAGS.admin.parse(text));
  if (address === undefined) throw new InvalidArgumentError("the sidecar's admin port is off; nothing can be asked");
  return address;
}

function accept<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new InvalidArgumentError(parsed.problem);
  return parsed.value;
}

/** One request to the admin port; undefined when nobody listens there (or no longer does). */
export function askAdmin(address: Address, method: "GET" | "POST", path: string): Promise<AdminAnswer | undefined> {
  return new Promise((resolve, reject) => {
    const { host, port } = address;
    // The admin port answers to local names only.
    const headers = { host: `localhost:${port}` };
    const question = request({ host, port, method, path, headers, agent: false, timeout: ANSWER_MS }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", () => resolve(undefined));
      response.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
        } catch {
          reject(notASidecar(address, text));
        }
      });
    });
    question.on("timeout", () => question.destroy());
    question.on("error", () => resolve(undefined));
    question.end();
  });
}

function notASidecar(address: Address, text: string): Error {
  const said = JSON.stringify(text.slice(0, 80));
  const problem = `${formatAddress(address)} is not the admin port of a sidecar; it said ${said}`;
  return pillionError("PILLION_USAGE", { problem });
}
