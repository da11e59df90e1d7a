// Case files of HTTP/1.1 (test/cases/h1/*.md): one heading for each case, bytes in, events and bytes out.
//
//   ## name                 the case; `Probe: ID, ID` names Http11Probe cases that it covers
//   ```request              upstream: what we ask first (makes the connection an upstream one)
//   ```input                bytes of the peer: lines are joined, so CR LF is written \r\n; {a*9} is nine times "a"; a
//                           line <FIN> at the end closes the peer's side
//   ```answer               downstream: what each complete request is answered with, then the stream is released
//   ```events               what the codec says; adjacent data is joined
//   ```output               what we write
//
// Every case runs whole, cut in two at every byte, and byte by byte: what comes out must be the same.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as codes from "../../assembly/abi/engine-codes.ts";
import { type Connection, type Event, type Field, type H1, HEAD_FLAG, type Head, STREAM_FLAG } from "./h1.ts";

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), "cases/h1");

export interface Case {
  readonly name: string;
  readonly file: string;
  readonly probes: readonly string[];
  readonly input: string;
  readonly ends: boolean;
  readonly request: readonly string[] | undefined;
  readonly answer: readonly string[] | undefined;
  readonly events: string | undefined;
  readonly output: string | undefined;
}

/** What came of one way of cutting the input. */
export interface Outcome {
  readonly events: string;
  readonly output: string;
}

const REASONS = new Map<number, string>(
  Object.entries(codes)
    .filter(([name]) => name.startsWith("REASON_"))
    .map(([name, code]) => [code, name.slice("REASON_".length).toLowerCase().replaceAll("_", "-")]),
);

export function readCases(): Case[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".md") && file !== "http11probe.md")
    .sort()
    .flatMap((file) => parseCases(file, readFileSync(join(folder, file), "utf8")));
}

/** The identifiers of Http11Probe and where each is answered: a case's name, or why it is no matter of the codec. */
export function readProbeTable(): Map<string, string> {
  const rows = readFileSync(join(folder, "http11probe.md"), "utf8").matchAll(/^\| ([A-Z][\w.-]+) \| (.+) \|$/gm);
  return new Map([...rows].map((row) => [row[1] ?? "", row[2] ?? ""]));
}

/** Runs a case with its input given in `pieces`. */
export function runCase(h1: H1, one: Case, pieces: readonly string[]): Outcome {
  const connection = h1.connect(one.request === undefined ? "downstream" : "upstream");
  try {
    const run = new Run(connection, one);
    if (one.request !== undefined) run.ask(one.request);
    for (const piece of pieces) run.receive(piece);
    if (one.ends) run.end();
    return { events: run.text(), output: formatText(connection.output()) };
  } finally {
    connection.close();
  }
}

/** Ways to cut `input`: whole, in two at every byte (of long ones: every so often), byte by byte. */
export function* cuts(input: string): Generator<string[]> {
  yield [input];
  const step = Math.max(1, Math.floor(input.length / 400));
  for (let at = 1; at < input.length; at += step) yield [input.slice(0, at), input.slice(at)];
  yield [...input];
}

/** One running case: collects what is said and answers as the case wants. */
class Run {
  readonly #connection: Connection;
  readonly #case: Case;
  readonly #lines: string[] = [];
  #data = "";
  #stream = 0;

  constructor(connection: Connection, one: Case) {
    this.#connection = connection;
    this.#case = one;
  }

  ask(script: readonly string[]): void {
    this.#stream = this.#connection.open();
    const [method = "", path = "", authority = "", ...words] = (script[0] ?? "").split(" ");
    const head = { method, path: path === "-" ? "" : path, authority, fields: fieldsOf(script, "field") };
    const flags =
      (words.includes("te") ? HEAD_FLAG.teTrailers : 0) | (option(words, "upgrade") ? HEAD_FLAG.upgrade : 0);
    this.#connection.sendRequest(this.#stream, { ...head, ...options(words), flags }, words.includes("end"));
    this.#send(script.slice(1));
  }

  receive(piece: string): void {
    // Bytes behind a request that was answered are looked at again at once, as the connection layer does.
    let bytes = piece;
    let goesOn = true;
    while (goesOn) {
      this.#connection.receive(bytes, (event) => this.#take(event));
      bytes = "";
      goesOn = this.#answer() && this.#connection.hasBacklog;
    }
  }

  end(): void {
    const event = this.#connection.end();
    if (event !== undefined) this.#take(event);
    this.#answer();
  }

  text(): string {
    this.#flush();
    return joinRepeated(this.#lines);
  }

  #take(event: Event): void {
    if (event.kind !== "blocked" && event.stream !== 0) this.#stream = event.stream;
    switch (event.kind) {
      case "blocked":
        return; // whether there is input left depends on how it was cut
      case "data":
        this.#data += event.data;
        if (event.end) this.#say("end");
        return;
      case "head":
        this.#say(describeHead(event.head), ...describeFields(event.head.fields));
        if (event.end) this.#say("end");
        return;
      case "informational":
        this.#say(`informational ${describeHead(event.head)}`, ...describeFields(event.head.fields));
        return;
      case "trailers":
        this.#say("trailers", ...describeFields(event.fields));
        return;
      case "end":
        this.#say("end");
        return;
      case "refuse":
        this.#say(`refuse ${REASONS.get(event.code)}`);
        return;
      case "reset":
        this.#say(`reset${(event.flags & codes.RESET_BY_PEER) === 0 ? "" : " by peer"}`);
        return;
      case "fatal":
        this.#say("fatal");
        return;
    }
  }

  /** Answers a complete request; whether there was one. */
  #answer(): boolean {
    const script = this.#case.answer;
    if (script === undefined || this.#stream === 0) return false;
    const flags = this.#connection.streamFlags(this.#stream);
    const waits = (flags & (STREAM_FLAG.isConnect | STREAM_FLAG.upgrade)) !== 0;
    if ((flags & STREAM_FLAG.sentHead) !== 0 || !(waits || (flags & STREAM_FLAG.receivedEnd) !== 0)) return false;
    this.#flush();
    const words = (script[0] ?? "").split(" ");
    for (const line of script.filter((text) => text.startsWith("informational "))) {
      this.#connection.sendInformational(this.#stream, { status: Number(line.split(" ")[1]) });
    }
    const head = { status: Number(words[0]), fields: fieldsOf(script, "field"), ...options(words) };
    this.#connection.sendResponse(this.#stream, head, words.includes("end"));
    this.#send(script.slice(1));
    if ((this.#connection.streamFlags(this.#stream) & STREAM_FLAG.tunnel) !== 0) return true;
    this.#connection.release(this.#stream);
    this.#stream = 0;
    this.#say(this.#connection.isReusable ? "reusable" : "closing");
    return true;
  }

  #send(script: readonly string[]): void {
    for (const line of script) {
      const text = parseText(line.slice(line.indexOf(" ") + 1));
      if (line.startsWith("data ")) this.#connection.sendData(this.#stream, text, false);
      else if (line === "end") this.#connection.sendEnd(this.#stream);
    }
    const trailers = fieldsOf(script, "trailer");
    if (trailers.length > 0) this.#connection.sendTrailers(this.#stream, trailers);
  }

  #say(...lines: string[]): void {
    this.#flush();
    this.#lines.push(...lines);
  }

  #flush(): void {
    if (this.#data === "") return;
    this.#lines.push(`data ${formatText(this.#data)}`);
    this.#data = "";
  }
}

/** Lines, with more than eight equal ones in a row written once. */
function joinRepeated(lines: readonly string[]): string {
  const shown: string[] = [];
  for (let at = 0, next = 0; at < lines.length; at = next) {
    while (next < lines.length && lines[next] === lines[at]) next += 1;
    const line = lines[at] ?? "";
    shown.push(...(next - at > 8 ? [`${line} ×${next - at}`] : lines.slice(at, next)));
  }
  return shown.join("\n");
}

function parseCases(file: string, text: string): Case[] {
  return text
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const name = section.slice(0, section.indexOf("\n")).trim();
      const blocks = new Map<string, string>();
      for (const match of section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)) blocks.set(match[1] ?? "", match[2] ?? "");
      const lines = (blocks.get("input") ?? "").split("\n").slice(0, -1);
      const ends = lines.at(-1) === "<FIN>";
      const input = parseText((ends ? lines.slice(0, -1) : lines).join(""));
      const probes = /^Probe: (.+)$/m.exec(section)?.[1]?.split(/, */) ?? [];
      const script = (block: string): string[] | undefined => blocks.get(block)?.trimEnd().split("\n");
      const joined = (block: string): string | undefined => blocks.get(block)?.trimEnd();
      const output = blocks.get("output")?.split("\n").join("");
      return {
        name,
        file,
        probes,
        input,
        ends,
        request: script("request"),
        answer: script("answer"),
        events: joined("events"),
        output,
      };
    });
}

function describeHead(head: Head): string {
  const words = head.status === 0 ? [head.method, head.path || "-", head.authority || "-"] : [String(head.status)];
  if (head.reason !== "") words.push(`(${formatText(head.reason)})`);
  words.push(head.version === 10 ? "HTTP/1.0" : "HTTP/1.1");
  if (head.scheme === 1) words.push("https");
  if (head.length >= 0) words.push(`length=${head.length}`);
  if (head.protocol !== "") words.push(`upgrade=${head.protocol}`);
  for (const [name, flag] of Object.entries(HEAD_FLAG)) {
    if (name !== "upgrade" && name !== "keepAlive" && (head.flags & flag) !== 0) words.push(name);
  }
  if ((head.flags & HEAD_FLAG.keepAlive) === 0) words.push("close");
  return formatText(words.join(" "));
}

function describeFields(fields: readonly Field[]): string[] {
  return fields.map(([name, value]) => formatText(`  ${name}: ${value}`));
}

function fieldsOf(script: readonly string[], kind: string): Field[] {
  return script
    .filter((line) => line.startsWith(`${kind} `))
    .map((line) => {
      const [, name = "", value = ""] = /^\w+ ([^:]+): ?(.*)$/.exec(line) ?? [];
      return [name, parseText(value)] as const;
    });
}

function option(words: readonly string[], name: string): string | undefined {
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
}

function options(words: readonly string[]): { length?: number; protocol?: string } {
  const length = option(words, "length");
  const protocol = option(words, "upgrade");
  return {
    ...(length === undefined ? {} : { length: Number(length) }),
    ...(protocol === undefined ? {} : { protocol }),
  };
}

/** `\r \n \t \0 \xNN \\` and `{text*count}` to bytes. */
export function parseText(text: string): string {
  const plain = text.replace(/\{([^{}*]+)\*(\d+)\}/g, (_, part: string, count: string) => part.repeat(Number(count)));
  return plain.replace(/\\(r|n|t|0|\\|x[0-9a-f]{2})/g, (_, code: string) => {
    const known = { r: "\r", n: "\n", t: "\t", "0": "\0", "\\": "\\" }[code];
    return known ?? String.fromCharCode(Number.parseInt(code.slice(1), 16));
  });
}

/** The reverse: printable ASCII as it is, runs of one letter shortened. */
export function formatText(text: string): string {
  const short = text.replace(/([A-Za-z0-9])\1{31,}/g, (run) => `{${run[0]}*${run.length}}`);
  return short.replace(/[^ -~]|\\/g, (byte) => {
    const known = { "\r": "\\r", "\n": "\\n", "\t": "\\t", "\0": "\\0", "\\": "\\\\" }[byte];
    return known ?? `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
