// Where Node's HTTP/1.1 parser (llhttp, strict) or undici's client and the engine read one input differently, and why.
// The engine's side is asked for through the strict reader, which the h1 fuzzer holds equal to it (h1.ts).

import { readLlhttp } from "../support/llhttp.ts";
import { readStrictRequests, readStrictResponse } from "../support/strict-h1.ts";
import { readUndici } from "../support/undici-parser.ts";
import { sampleH1 } from "./h1-messages.ts";
import { Random } from "./random.ts";

/** Keys: who accepts a message that the other does not, and what the other one says. */
export const EXPLANATIONS: Readonly<Record<string, string>> = {
  "only we: HPE_CLOSED_CONNECTION":
    "llhttp refuses bytes behind a message with `Connection: close`; we answer, close, and drop them.",
  "only we: HPE_INVALID_CONTENT_LENGTH":
    "llhttp looks at a length in trailers. They frame nothing (RFC 9110 §6.5.1): we drop it.",
  "only we: HPE_INVALID_METHOD":
    "llhttp knows a list of methods; any token is one (RFC 9110 §9.1), and a proxy carries it.",
  "only we: nothing": "llhttp stops at an Upgrade that we ignore: h2c (RFC 9113 §3.1), or one beside a body.",
  "only Node: 101 unasked": "The parser does not know what was asked; Node's client refuses it later.",
  "only Node: CONNECT with content":
    "A CONNECT has no content (RFC 9110 §9.3.6): what follows are the tunnel's bytes to some, a body to others.",
  "only Node: TRACE with content": "RFC 9110 §9.3.8 forbids it to clients.",
  "only Node: a bare CR or LF":
    "llhttp takes LF for the end of a line here and there: behind HTTP/0.9, and between messages.",
  "only Node: a coding":
    "llhttp reads a body until the end, or chunked, where the last coding says so; we know only `chunked`.",
  "only Node: an asterisk": "`*` belongs to OPTIONS (RFC 9112 §3.2.4); the parser leaves it to its user.",
  "only Node: an escaped NUL": "`%00` ends a path for programs in C behind us.",
  "only Node: an expectation": "No server behind us can meet it (RFC 9110 §10.1.1); left to the parser's user.",
  "only Node: an option that frames or routes":
    "`Connection: content-length` would have a hop delete what frames the message.",
  "only Node: an underscore": "`content_length` is `content-length` to CGI programs.",
  "only Node: bytes behind the response":
    "Node's client looks after each response; to us they end the connection, and the parser reads on.",
  "only Node: a tunnel": "Behind CONNECT and Upgrade bytes are no messages to us until the server agreed.",
  "only Node: no host": "Left to the parser's user: node:http's server answers 400 too.",
  "only Node: not a chunk": "An extension without a name or a value (RFC 9112 §7.1.1).",
  "only Node: not a connection option": "Options are tokens (RFC 9110 §7.6.1).",
  "only Node: not a host": "The parser does not look at it (RFC 9110 §7.2).",
  "only Node: not a length": "Leading zeros: octal to some.",
  "only Node: not a request line": "`#` and `\\` in targets, bytes above 127; HTTP/2.0 as a version.",
  "only Node: not a status line": "Statuses below 100.",
  "only Node: not an absolute target": "User information, other schemes, hosts that are none.",
  "only Node: not an empty line": "A bare CR before a request line.",
  "only Node: not host:port": "CONNECT needs a port (RFC 9110 §9.3.6).",
  "only Node: two framings": "A coding in HTTP/1.0 (RFC 9112 §6.1).",
  "only Node: two hosts": "Host twice, or another one than in the target (RFC 9112 §3.2.2).",
  "another body": "llhttp gives informational responses other than 100 a body; they have none (RFC 9110 §15.2).",
};

/** The same of undici's client, which reads responses only: its parser and what it looks at besides. */
export const UNDICI_EXPLANATIONS: Readonly<Record<string, string>> = {
  "only we: bad response": "undici fails on 100 (Continue), which it never asks for; a proxy's clients do.",
  "only we: UND_ERR_RES_CONTENT_LENGTH_MISMATCH": "undici counts a blank behind a length as one of its digits.",
  "only undici: a bare CR or LF": "llhttp takes LF for the end of a line between messages.",
  "only undici: a coding": "undici reads a body until the end where the last coding is not `chunked`.",
  "only undici: an option that frames or routes":
    "`Connection: content-length` would have a hop delete what frames the message.",
  "only undici: an underscore": "`content_length` is `content-length` to CGI programs.",
  "only undici: not a chunk": "More than 13 digits, and extensions without a name or a value (RFC 9112 §7.1.1).",
  "only undici: not a connection option": "Options are tokens (RFC 9110 §7.6.1).",
  "only undici: not a length": "Leading zeros: octal to some.",
  "only undici: not a status line": "Control bytes in a reason phrase.",
  "only undici: two framings": "A coding in HTTP/1.0 (RFC 9112 §6.1).",
};

export interface Class {
  count: number;
  /** The shortest input that was seen. */
  example: string;
}

/** Compares `count` samples; every class of disagreement with how often it came. */
export function compareParsers(first: number, count: number): Map<string, Class> {
  const classes = new Map<string, Class>();
  for (let seed = first; seed < first + count; seed += 1) {
    const { text, asked } = sampleH1(new Random(seed));
    if (asked !== undefined && (asked.method !== "GET" || asked.isUpgrade)) continue; // the bare parser is not told
    note(classes, classify(text, asked !== undefined), text);
  }
  return classes;
}

/** The same with undici, which can ask: responses to GET and to HEAD. */
export async function compareUndici(first: number, count: number): Promise<Map<string, Class>> {
  const classes = new Map<string, Class>();
  for (let seed = first; seed < first + count; seed += 1) {
    const { text, asked } = sampleH1(new Random(seed));
    if (asked === undefined || asked.isUpgrade || (asked.method !== "GET" && asked.method !== "HEAD")) continue;
    note(classes, await classifyUndici(text, asked.method), text);
  }
  return classes;
}

function note(classes: Map<string, Class>, key: string | undefined, text: string): void {
  if (key === undefined) return;
  const known = classes.get(key);
  if (known === undefined) classes.set(key, { count: 1, example: text });
  else {
    known.count += 1;
    if (text.length < known.example.length) known.example = text;
  }
}

async function classifyUndici(text: string, method: "GET" | "HEAD"): Promise<string | undefined> {
  const ours = readStrictResponse(text, { method });
  const last = ours.messages.at(-1);
  // Bytes behind a whole response end the connection, to both.
  const isTaken = last?.isComplete === true && !last.first[0].startsWith("1");
  const theirs = await readUndici(text, method);
  if (theirs.message === undefined) return isTaken ? `only we: ${theirs.error}` : undefined;
  if (!isTaken) return `only undici: ${ours.error?.replace(/: .*/s, "") ?? ours.stop}`;
  if (theirs.message[0] !== last.first[0]) return "another message";
  return theirs.message[1] === last.body ? undefined : "another body";
}

function classify(text: string, isResponse: boolean): string | undefined {
  const ours = isResponse ? readStrictResponse(text, { method: "GET" }) : readStrictRequests(text);
  const theirs = readLlhttp(text, isResponse);
  const whole = ours.messages.filter(({ isComplete, framing }) => isComplete && framing !== "tunnel");
  const read = whole.map(({ first, body }) => [isResponse ? first[0] : first.join(" "), body] as const);
  const other = theirs.messages.filter(({ isComplete }) => isComplete).map(({ first, body }) => [first, body] as const);
  for (let at = 0; at < Math.min(read.length, other.length); at += 1) {
    if (read[at]![0] !== other[at]![0]) return "another message";
    if (read[at]![1] !== other[at]![1]) return "another body";
  }
  if (read.length > other.length) return `only we: ${theirs.error ?? "nothing"}`;
  if (read.length === other.length) return undefined;
  if (ours.stop === "error") return `only Node: ${ours.error!.replace(/: .*/s, "")}`;
  return `only Node: ${ours.messages.at(-1)?.framing === "tunnel" ? "a tunnel" : ours.stop}`;
}
