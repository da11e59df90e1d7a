// Fuzzes the HTTP/1.1 codec: the engine and a strict reader (support/strict-h1.ts) must read every input alike, however
// it is cut; and what the engine makes of a message for the next hop must be one message to the strict reader.

import { type Connection, type Event, type Field, type H1, HEAD_FLAG, type Head, STREAM_FLAG } from "../support/h1.ts";
import {
  type Asked,
  connectionOptions,
  readStrictRequests,
  readStrictResponse,
  type StrictMessage,
  type StrictReading,
} from "../support/strict-h1.ts";
import type { Fuzzer } from "./fuzzer.ts";
import { sampleH1 } from "./h1-messages.ts";
import { Random } from "./random.ts";

/** What the engine read of one message. */
interface Read {
  readonly head: Head;
  body: string;
  trailers: readonly Field[];
  isComplete: boolean;
  isTunnel: boolean;
}

interface Reading {
  readonly messages: Read[];
  stop: "open" | "refused" | "closed";
}

const HOP = /^(connection|te|upgrade|keep-alive|proxy-connection|http2-settings|transfer-encoding)$/;
const SPECIAL = /^(host|content-length|expect|cookie)$/;

export function createH1Fuzzer(h1: H1): Fuzzer {
  return { name: "h1", run: (seed) => runH1(h1, new Random(seed)) };
}

function runH1(h1: H1, random: Random): number {
  const { asked, text } = sampleH1(random);
  const whole = readByEngine(h1, asked, [text]);
  const pieces = random.once(4) ? [...text] : cutAnywhere(text, random);
  const cut = readByEngine(h1, asked, pieces);
  if (JSON.stringify(cut) !== JSON.stringify(whole)) {
    fail("cut differently", text, `${JSON.stringify(pieces)}\n${JSON.stringify(whole)}\n${JSON.stringify(cut)}`);
  }
  compare(whole, asked === undefined ? readStrictRequests(text) : readStrictResponse(text, asked), asked, text);
  let executions = 2;
  if (asked === undefined) {
    for (const read of whole.messages) {
      if (!read.isComplete || read.isTunnel) continue;
      forward(h1, read, text);
      executions += 1;
    }
  }
  const { exports } = h1;
  const left = [exports.poolUsedBytes(), exports.streamCount(), exports.connectionCount()];
  if (left.some((count) => count !== 0)) fail("not given back", text, String(left));
  return executions;
}

function fail(what: string, text: string, detail = ""): never {
  throw new Error(`${what}: ${JSON.stringify(text)}\n${detail}`);
}

function cutAnywhere(text: string, random: Random): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const length = 1 + random.below(random.pick([2, 8, 60]));
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

/** Feeds the pieces, answering each request; then a FIN: what is wrong in half a head is refused then at the latest. */
function readByEngine(h1: H1, asked: Asked | undefined, pieces: readonly string[]): Reading {
  const connection = h1.connect(asked === undefined ? "downstream" : "upstream");
  const reader = new EngineReader(connection);
  try {
    if (asked !== undefined) reader.ask(asked);
    for (const piece of pieces) reader.receive(piece, asked === undefined);
    reader.end();
    return reader.reading;
  } finally {
    connection.close();
  }
}

class EngineReader {
  readonly reading: Reading = { messages: [], stop: "open" };
  readonly #connection: Connection;
  #stream = 0;
  #isDone = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  ask({ method, isUpgrade = false }: Asked): void {
    this.#stream = this.#connection.open();
    const target = method === "CONNECT" ? { authority: "a:80" } : { authority: "a", path: "/" };
    const upgrade = isUpgrade ? { flags: HEAD_FLAG.upgrade, protocol: "websocket" } : {};
    this.#connection.sendRequest(this.#stream, { method, ...target, ...upgrade }, method !== "CONNECT" && !isUpgrade);
  }

  receive(piece: string, answers: boolean): void {
    let bytes = piece;
    do {
      if (this.#isDone) return;
      this.#connection.receive(bytes, (event) => this.#take(event));
      bytes = "";
    } while (answers && this.#answer() && this.#connection.hasBacklog);
  }

  end(): void {
    if (this.#isDone) return;
    const event = this.#connection.end();
    if (event !== undefined) this.#take(event);
  }

  #take(event: Event): void {
    const current = this.reading.messages.at(-1);
    switch (event.kind) {
      case "blocked":
        return;
      case "head":
      case "informational": {
        const isFinal = event.kind === "head";
        this.#stream = event.stream;
        const flags = this.#connection.streamFlags(event.stream);
        const waits = this.#connection.flags >= 0 && (flags & (STREAM_FLAG.tunnel | STREAM_FLAG.upgrade)) !== 0;
        const isConnect = (flags & STREAM_FLAG.isConnect) !== 0 && event.head.method === "CONNECT";
        const isTunnel =
          isFinal && (isConnect || (event.head.status === 0 ? waits : (flags & STREAM_FLAG.tunnel) !== 0));
        const isComplete = !isFinal || event.end;
        this.reading.messages.push({ head: event.head, body: "", trailers: [], isComplete, isTunnel });
        if (isTunnel) this.#isDone = event.head.status === 0;
        return;
      }
      case "data":
        current!.body += event.data;
        if (event.end) current!.isComplete = true;
        return;
      case "trailers":
        current!.trailers = event.fields;
        current!.isComplete = true;
        return;
      case "end":
        current!.isComplete = true;
        return;
      case "reset":
        if ((event.flags & 1) === 0) this.reading.stop = "refused";
        this.#isDone = true;
        return;
      case "refuse":
        this.reading.stop = "refused";
        this.#isDone = true;
        return;
      case "fatal":
        // A request that is cut off in its head is nobody's fault; anything else is refused.
        if (event.code !== 0) this.reading.stop = "refused";
        this.#isDone = true;
        return;
    }
  }

  #answer(): boolean {
    const current = this.reading.messages.at(-1);
    if (this.#stream === 0 || current === undefined || !current.isComplete || this.#isDone) return false;
    this.#connection.sendResponse(this.#stream, { status: 200, length: 0 }, true);
    this.#connection.release(this.#stream);
    this.#stream = 0;
    if (this.#connection.isReusable) return true;
    this.reading.stop = "closed";
    this.#isDone = true;
    return false;
  }
}

function compare(ours: Reading, theirs: StrictReading, asked: Asked | undefined, text: string): void {
  ours.messages.forEach((one, index) => {
    const other = theirs.messages[index];
    if (other === undefined) fail("a message that is none", text, `${JSON.stringify(one)}\n${theirs.error}`);
    compareMessage(one, other, asked, text);
  });
  const last = theirs.messages[ours.messages.length - 1];
  if (ours.stop === "closed") {
    if (last === undefined || !wantsClose(last)) fail("closed without a reason", text);
    return;
  }
  if (theirs.messages.length > ours.messages.length && theirs.stop !== "partial") {
    if (ours.stop !== "refused" || theirs.stop !== "error") fail("a message not seen", text, JSON.stringify(theirs));
  }
  if (theirs.stop === "clean" && ours.stop === "refused") fail("refused without a reason", text, JSON.stringify(ours));
  if (theirs.stop === "error" && ours.stop !== "refused") fail("not refused", text, theirs.error);
}

function compareMessage(one: Read, other: StrictMessage, asked: Asked | undefined, text: string): void {
  const { head } = one;
  const differs = (what: string) => fail(`another ${what}`, text, `${JSON.stringify(one)}\n${JSON.stringify(other)}`);
  if (asked === undefined) {
    if (head.method !== other.first[0] || head.path !== pathOf(other.first)) differs("target");
  } else if (head.status !== Number(other.first[0]) || head.reason !== other.first[1]) differs("status");
  if (one.body !== other.body) differs("body");
  if (one.isTunnel !== (other.framing === "tunnel")) differs("tunnel");
  const isFinished = other.framing === "tunnel" ? one.isComplete : other.isComplete;
  if (one.isComplete !== isFinished) differs("end");
  const plain = plainFields(other);
  const got = head.fields.filter(([name]) => !SPECIAL.test(name));
  if (JSON.stringify(got) !== JSON.stringify(plain)) differs("field");
  const trailers = other.trailers.filter(([name]) => name.startsWith("x-"));
  if (JSON.stringify(one.trailers.filter(([name]) => name.startsWith("x-"))) !== JSON.stringify(trailers))
    differs("trailer");
}

/** Fields that go on to the next hop. */
function plainFields({ fields }: StrictMessage): Field[] {
  const named = connectionOptions(fields);
  return fields
    .filter(([name]) => !HOP.test(name) && !SPECIAL.test(name) && !named.includes(name))
    .map((one) => [...one]);
}

function pathOf([method, target]: readonly [string, string]): string {
  if (method === "CONNECT") return "";
  const match = /^https?:\/\/[^/?]*(.*)$/i.exec(target);
  if (match === null) return target;
  const rest = match[1]!;
  if (rest === "") return method === "OPTIONS" ? "*" : "/";
  return rest.startsWith("?") ? `/${rest}` : rest;
}

function wantsClose({ version, fields }: StrictMessage): boolean {
  const options = connectionOptions(fields);
  return options.includes("close") || (version === "1.0" && !options.includes("keep-alive"));
}

/** Writes a message as a request of ours: exactly one to the strict reader, with the same body. */
function forward(h1: H1, read: Read, text: string): void {
  const client = h1.connect("upstream");
  const stream = client.open();
  const { method, path, fields, flags, length } = read.head;
  const isChunked = (flags & HEAD_FLAG.chunked) !== 0;
  const end = read.body === "" && !isChunked;
  const authority = read.head.authority || "a";
  client.sendRequest(stream, { method, path, authority, fields, ...(isChunked ? {} : { length }) }, end);
  if (!end) {
    if (read.body !== "") client.sendData(stream, read.body, false);
    client.sendEnd(stream);
  }
  const output = client.output();
  client.close();
  const { messages, stop } = readStrictRequests(output);
  const [only] = messages;
  if (stop !== "clean" || messages.length !== 1 || only === undefined)
    fail("not one request", text, JSON.stringify(output));
  if (only.first[0] !== method || only.first[1] !== path || only.body !== read.body) {
    fail("another request", text, JSON.stringify(output));
  }
}
