// Conversations with one HTTP/2 connection, written as text: test/cases/h2/*.md.
//
//   ## title                      one case; the words after "```h2" are `server` or `client`, `pillion`, `raw`, `slow`
//   ```h2 server                  raw: no handshake before the first line; slow: DATA is not credited by itself
//   > HEADERS 1 ES EH | $get      the peer's frames; consecutive ones are one run of bytes
//   = HEAD 1 end GET http a /     the events of that run, all of them, in order
//   ! respond 1 200 end           what the proxy does
//   < HEADERS 1 ES | :status 200  the frames sent since the last "<", all of them, in order
//   ```
//
// A step with no "=" line has no events, and none with no "<" line is looked at for output until the next step that has
// one: output is compared at the end of each step that names some, and at the end of the case.

import {
  ACK,
  END_HEADERS,
  END_STREAM,
  ERROR_CODES,
  encodeFields,
  type Fields,
  FRAME_TYPES,
  frame,
  PADDED,
  PREFACE,
  PRIORITY_FLAG,
  u32,
} from "./frames.ts";
import type { H2Connection, H2Engine } from "./h2.ts";
import { CLIENT, SERVER } from "./h2.ts";
import { printEvents } from "./h2-print.ts";

export interface Case {
  readonly title: string;
  readonly role: number;
  readonly isPillion: boolean;
  readonly isRaw: boolean;
  readonly isSlow: boolean;
  readonly steps: readonly Step[];
}

/** Input, or an action, and what is expected after it. */
interface Step {
  readonly input: Buffer;
  readonly actions: readonly string[];
  readonly events: readonly string[];
  /** undefined: not looked at here. */
  readonly output: readonly string[] | undefined;
}

/** Header lists that cases abbreviate. */
const LISTS: Readonly<Record<string, Fields>> = {
  $get: [
    [":method", "GET"],
    [":scheme", "http"],
    [":authority", "a"],
    [":path", "/"],
  ],
  $post: [
    [":method", "POST"],
    [":scheme", "http"],
    [":authority", "a"],
    [":path", "/"],
  ],
  $ok: [[":status", "200"]],
};

/** All cases of a Markdown file. */
export function readCases(markdown: string): Case[] {
  const cases: Case[] = [];
  let title = "";
  let options: string[] | undefined;
  let lines: string[] = [];
  for (const line of markdown.split("\n")) {
    if (options === undefined) {
      if (line.startsWith("## ")) title = line.slice(3);
      if (line.startsWith("```h2 ")) [options, lines] = [line.split(" ").slice(1), []];
    } else if (line === "```") {
      cases.push({
        title,
        role: options.includes("client") ? CLIENT : SERVER,
        isPillion: options.includes("pillion"),
        isRaw: options.includes("raw"),
        isSlow: options.includes("slow"),
        steps: readSteps(lines),
      });
      options = undefined;
    } else lines.push(line);
  }
  if (options !== undefined) throw new Error(`"${title}" is not closed`);
  return cases;
}

function readSteps(lines: readonly string[]): Step[] {
  const steps: { input: Buffer; actions: string[]; events: string[]; output: string[] | undefined }[] = [];
  let before = "";
  for (const line of lines) {
    const kind = line[0];
    const text = line.slice(2);
    if (line.trim() === "") continue;
    if (kind === undefined || !"><=!".includes(kind)) throw new Error(`not a line of a case: ${line}`);
    const startsStep = (kind === ">" && before !== ">") || (kind === "!" && before !== "!");
    if (startsStep) steps.push({ input: Buffer.alloc(0), actions: [], events: [], output: undefined });
    const step = steps.at(-1);
    if (step === undefined) throw new Error(`nothing happened before: ${line}`);
    if (kind === ">") step.input = Buffer.concat([step.input, encodeLine(text)]);
    else if (kind === "!") step.actions.push(text);
    else if (kind === "=") step.events.push(text);
    else step.output = [...(step.output ?? []), ...(text === "nothing" ? [] : [text])];
    before = kind;
  }
  return steps;
}

/** The bytes of one line of the peer's. */
export function encodeLine(line: string): Buffer {
  const repeated = /^(\d+) \* (.*)$/.exec(line);
  if (repeated !== null) {
    const one = encodeLine(repeated[2]!);
    return Buffer.concat(Array.from({ length: Number(repeated[1]) }, () => one));
  }
  if (line === "PREFACE") return PREFACE;
  const [before, ...listed] = line.split(" | ");
  const words = splitWords(before!);
  const type = words.shift()!;
  if (type === "BYTES") return bytesOf(words.join(""));
  const fields = listed.length === 0 ? undefined : listed.flatMap(readField);
  return encodeFrame(type, words, fields);
}

interface Parts {
  flags: number;
  id: number;
  pad: number | undefined;
  priority: Buffer;
  body: Buffer[];
  length: number | undefined;
}

function encodeFrame(typeWord: string, words: readonly string[], fields: Fields | undefined): Buffer {
  const named = FRAME_TYPES.indexOf(typeWord as (typeof FRAME_TYPES)[number]);
  const type = named >= 0 ? named : Number(typeWord.replace("TYPE_", ""));
  if (Number.isNaN(type)) throw new Error(`unknown frame ${typeWord}`);
  const parts: Parts = { flags: 0, id: 0, pad: undefined, priority: Buffer.alloc(0), body: [], length: undefined };
  let hasId = false;
  for (const word of words) {
    if (!hasId && /^\d+$/.test(word)) {
      parts.id = Number(word);
      hasId = true;
    } else readWord(type, word, parts);
  }
  if (fields !== undefined) parts.body.push(encodeFields(fields));
  const payload = Buffer.concat(parts.body);
  const padLength = parts.pad === undefined ? Buffer.alloc(0) : Buffer.of(parts.pad);
  const padding = Buffer.alloc(parts.pad ?? 0);
  const whole = Buffer.concat([padLength, parts.priority, payload, padding]);
  return frame(type, parts.flags, parts.id, whole, parts.length ?? whole.length);
}

function readWord(type: number, word: string, parts: Parts): void {
  const [key, value] = word.includes("=") && !word.startsWith('"') ? word.split("=") : [word, ""];
  const code = ERROR_CODES.indexOf(word as (typeof ERROR_CODES)[number]);
  if (word === "ES") parts.flags |= END_STREAM;
  else if (word === "EH") parts.flags |= END_HEADERS;
  else if (word === "ACK") parts.flags |= ACK;
  else if (code >= 0) parts.body.push(u32(code));
  else if (key === "flags") parts.flags |= Number(value);
  else if (key === "length") parts.length = Number(value);
  else if (key === "pad") [parts.flags, parts.pad] = [parts.flags | PADDED, Number(value)];
  else if (key === "depends") {
    parts.flags |= type === FRAME_TYPES.indexOf("HEADERS") ? PRIORITY_FLAG : 0;
    parts.priority = Buffer.concat([u32(Number(value)), Buffer.of(15)]);
  } else if (key === "last") parts.body.unshift(u32(Number(value)));
  else if (key === "bytes") parts.body.push(Buffer.alloc(Number(value), 120));
  else if (word.startsWith('"') || word.startsWith("0x")) parts.body.push(bytesOf(word));
  else if (/^\d+$/.test(word)) parts.body.push(u32(Number(word)));
  else if (/^\d+=\d+$/.test(word)) {
    const id = Buffer.alloc(2);
    id.writeUInt16BE(Number(key));
    parts.body.push(id, u32(Number(value)));
  } else throw new Error(`unknown word ${word}`);
}

/** Blank-separated words; a quoted text is one. */
function splitWords(text: string): string[] {
  return text.match(/"[^"]*"|\S+/g) ?? [];
}

function bytesOf(word: string): Buffer {
  if (word.startsWith("0x")) return Buffer.from(word.slice(2), "hex");
  return Buffer.from(unescapeText(word.slice(1, -1)), "latin1");
}

/** `name value`, a list's name, or `name*N` for N letters. */
function readField(text: string): Fields {
  const list = LISTS[text];
  if (list !== undefined) return list;
  const repeated = /^(\d+) \* (.*)$/.exec(text);
  if (repeated !== null) return Array.from({ length: Number(repeated[1]) }, () => readField(repeated[2]!)).flat();
  const at = text.indexOf(" ");
  const [name, value] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
  const long = /^\*(\d+)$/.exec(value);
  return [[unescapeText(name), long === null ? unescapeText(value) : "x".repeat(Number(long[1]))]];
}

function unescapeText(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/** A line of the proxy's, taken apart. */
interface Action {
  readonly first: string;
  readonly rest: readonly string[];
  readonly fields: Fields;
  readonly end: boolean;
  readonly contentLength: number;
  /** `first` and the first of `rest` as numbers, where they are. */
  readonly id: number;
  readonly number: number;
}

const VERBS: Readonly<Record<string, (connection: H2Connection, action: Action) => void>> = {
  request(connection, { first, rest, fields, end, contentLength }) {
    const protocol = wordOf(rest, "protocol");
    const extended = protocol === undefined ? {} : { protocol };
    const te = rest.includes("te") ? { flags: 1 } : {};
    connection.request({ method: first, path: rest[0]!, contentLength, fields, ...extended, ...te }, end);
  },
  respond(connection, { id, number, fields, end, contentLength }) {
    connection.respond(id, { status: number, contentLength, fields }, end);
  },
  inform(connection, { id, number, fields }) {
    connection.sendInformational(id, { status: number, fields });
  },
  data(connection, { id, rest, number, end }) {
    connection.sendData(id, rest[0]!.startsWith('"') ? bytesOf(rest[0]!) : Buffer.alloc(number, 120), end);
  },
  trailers(connection, { id, fields }) {
    connection.sendTrailers(id, fields);
  },
  end(connection, { id }) {
    connection.engine.exports.sendEndH2(connection.stream(id));
  },
  reset(connection, { id, rest }) {
    connection.reset(id, ERROR_CODES.indexOf(rest[0] as (typeof ERROR_CODES)[number]));
  },
  release(connection, { id }) {
    connection.release(id);
  },
  credit(connection, { id, number }) {
    connection.credit(id, number);
  },
  goaway(connection, { first }) {
    connection.engine.exports.goawayH2(connection.address, 0, first === "final");
  },
  ping(connection) {
    connection.engine.exports.pingH2(connection.address);
  },
  now(connection, { first }) {
    connection.engine.exports.setNow(BigInt(first));
  },
};

/** What the proxy does: `respond 1 200 end length=5 | name value`, `data 1 "text" end`, … */
export function act(connection: H2Connection, line: string): void {
  const [before, ...listed] = line.split(" | ");
  const [verbWord, first = "", ...rest] = splitWords(before!);
  const verb = VERBS[verbWord!];
  if (verb === undefined) throw new Error(`unknown action ${line}`);
  verb(connection, {
    first,
    rest,
    fields: listed.flatMap(readField),
    end: rest.includes("end"),
    contentLength: Number(wordOf(rest, "length") ?? -1),
    id: Number(first),
    number: Number(rest[0]),
  });
}

/** The value of a word `key=value`. */
function wordOf(words: readonly string[], key: string): string | undefined {
  return words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
}

/** How the input of a run is cut: into pieces of these sizes, the last one repeated. */
export type Cut = (length: number) => readonly number[];

export const WHOLE: Cut = (length) => [length];
export const BYTEWISE: Cut = () => [1];

/** Plays a case; returns what happened in the form of the case's own lines. */
export function play(engine: H2Engine, one: Case, cut: Cut): string[] {
  const connection = engine.connect(one.role, one.isPillion);
  connection.creditsAtOnce = !one.isSlow;
  if (!one.isRaw) connection.handshake();
  const transcript: string[] = [];
  for (const step of one.steps) {
    for (const action of step.actions) act(connection, action);
    const events = [];
    const sizes = cut(step.input.length);
    let from = 0;
    for (let index = 0; from < step.input.length; index += 1) {
      const size = sizes[Math.min(index, sizes.length - 1)]!;
      events.push(...connection.receive(step.input.subarray(from, from + size)));
      from += size;
    }
    transcript.push("step", ...printEvents(events).map((line) => `= ${line}`));
    if (step.output !== undefined) transcript.push(...connection.output().map((line) => `< ${line}`));
  }
  const last = connection.output();
  transcript.push("rest", ...last.map((line) => `< ${line}`));
  connection.destroy();
  return transcript;
}

/** What the case says should happen, in the same form. */
export function expected(one: Case): string[] {
  const transcript: string[] = [];
  for (const step of one.steps) {
    transcript.push("step", ...step.events.map((line) => `= ${line}`));
    if (step.output !== undefined) transcript.push(...step.output.map((line) => `< ${line}`));
  }
  return [...transcript, "rest"];
}

/** Bytes of the longest run of input. */
export function longestInput(one: Case): number {
  return Math.max(...one.steps.map((step) => step.input.length));
}
