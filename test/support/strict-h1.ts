// A strict reader of HTTP/1.1 in regular expressions: RFC 9112 with the strict choice in every doubt, and no speed.
//
// It shares no code with the engine. Fuzzers hold the engine's codec against it, and tests of smuggling ask it whether
// what reached a backend is one well-formed message. It stops at the first error, as the engine must.

export type StrictField = readonly [name: string, value: string];

export interface StrictMessage {
  /** Method and target, or status and reason. */
  readonly first: readonly [string, string];
  readonly version: "1.0" | "1.1";
  /** Names in lower case, values without white space around them; all of them, hop-by-hop ones too. */
  readonly fields: readonly StrictField[];
  readonly framing: "none" | "length" | "chunked" | "close" | "tunnel";
  body: string;
  trailers: readonly StrictField[];
  isComplete: boolean;
}

export interface StrictReading {
  readonly messages: readonly StrictMessage[];
  /** Why reading stopped: between messages, within one (more bytes may come), or at something that is none. */
  readonly stop: "clean" | "partial" | "error";
  readonly error?: string;
}

/** Of a response: what the request was. */
export interface Asked {
  readonly method: string;
  readonly isUpgrade?: boolean;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([!-"$-[\\]-~]+) HTTP/1\\.([01])$`);
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t -~\x80-\xff]*))?$/;
const FIELD_LINE = new RegExp(`^(${TOKEN}):[\\t ]*([\\t -~\\x80-\\xff]*?)[\\t ]*$`);
const CHUNK_EXTENSION = `;${TOKEN}(?:=(?:${TOKEN}|"(?:[\\t !#-[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"))?`;
const CHUNK_LINE = new RegExp(`^([0-9a-fA-F]{1,13})(?:${CHUNK_EXTENSION})*$`);
const HOST = /^(?:[A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]{2,}\])(?::(\d{1,5}))?$/;
const LENGTH = /^(?:0|[1-9]\d{0,15})$/;
const LENGTH_MAX = 9007199254740991n;
const METHOD_MAX = 32;
const LEADING_MAX = 2;

/** What is wrong, thrown inside and returned as `error`. */
class Malformed extends Error {}
/** Bytes are missing. */
class Partial extends Error {}

function refuse(why: string): never {
  throw new Malformed(why);
}

/** Reads requests until something ends it; `isEnded` says that no byte will follow. */
export function readStrictRequests(text: string): StrictReading {
  return new Reader(text).requests();
}

/** Reads the informational responses and the final one to a request; a second one is an error. */
export function readStrictResponse(text: string, asked: Asked, isEnded = true): StrictReading {
  return new Reader(text).responses(asked, isEnded);
}

/** Whether a host with an optional port is one that names a host. */
export function isStrictAuthority(text: string): boolean {
  const match = HOST.exec(text);
  return match !== null && Number(match[1] ?? 0) <= 65535;
}

class Reader {
  readonly #text: string;
  #at = 0;
  readonly #messages: StrictMessage[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  requests(): StrictReading {
    return this.#read(() => {
      for (;;) {
        this.#skipEmptyLines();
        if (this.#at === this.#text.length) return;
        const message = this.#request();
        this.#messages.push(message);
        if (message.framing === "tunnel") return;
        this.#body(message);
      }
    });
  }

  responses(asked: Asked, isEnded: boolean): StrictReading {
    return this.#read(() => {
      for (;;) {
        if (this.#at === this.#text.length) throw new Partial();
        const message = this.#response(asked);
        this.#messages.push(message);
        const isInformational = message.first[0].startsWith("1") && message.framing !== "tunnel";
        if (isInformational) {
          if (this.#messages.length > 16) refuse("too many informational responses");
          message.isComplete = true;
          continue;
        }
        if (message.framing === "tunnel" || message.framing === "close") {
          message.body = this.#text.slice(this.#at);
          message.isComplete = isEnded;
          return;
        }
        this.#body(message);
        if (this.#at !== this.#text.length) refuse("bytes behind the response");
        return;
      }
    });
  }

  #read(run: () => void): StrictReading {
    try {
      run();
      return { messages: this.#messages, stop: "clean" };
    } catch (error) {
      if (error instanceof Partial) return { messages: this.#messages, stop: "partial" };
      if (error instanceof Malformed) return { messages: this.#messages, stop: "error", error: error.message };
      throw error;
    }
  }

  #skipEmptyLines(): void {
    for (let skipped = 0; this.#text[this.#at] === "\r"; skipped += 1) {
      if (this.#at + 1 === this.#text.length) throw new Partial();
      if (this.#text[this.#at + 1] !== "\n" || skipped === LEADING_MAX) refuse("not an empty line");
      this.#at += 2;
    }
  }

  /** A line without its CRLF; what may stand in it is looked at by the caller, CR and LF never may. */
  #line(): string {
    const end = this.#text.slice(this.#at).search(/[\r\n]/);
    const ending = end < 0 ? "" : this.#text.slice(this.#at + end, this.#at + end + 2);
    if (ending === "" || ending === "\r") throw new Partial();
    if (ending !== "\r\n") refuse("a bare CR or LF");
    const line = this.#text.slice(this.#at, this.#at + end);
    this.#at += end + 2;
    return line;
  }

  #fields(): StrictField[] {
    const fields: StrictField[] = [];
    for (;;) {
      const line = this.#line();
      if (line === "") return fields;
      const match = FIELD_LINE.exec(line);
      if (match === null) refuse(`not a field: ${JSON.stringify(line)}`);
      fields.push([match[1]!.toLowerCase(), match[2]!]);
    }
  }

  #request(): StrictMessage {
    const line = this.#line();
    const match = REQUEST_LINE.exec(line);
    if (match === null || match[1]!.length > METHOD_MAX) refuse(`not a request line: ${JSON.stringify(line)}`);
    const [, method = "", target = "", minor] = match;
    const version = minor === "0" ? "1.0" : "1.1";
    const absolute = checkTarget(method, target);
    const fields = this.#fields();
    checkHost(fields, version, method, target, absolute);
    checkConnection(fields);
    checkExpect(fields);
    const { isChunked, length } = framingFields(fields, version);
    const isUpgrade = !isChunked && !length && version === "1.1" && upgradeOf(fields) !== undefined;
    if (method === "CONNECT" && (isChunked || length !== undefined)) refuse("CONNECT with content");
    if (method === "TRACE" && (isChunked || length)) refuse("TRACE with content");
    const isTunnel = method === "CONNECT" || isUpgrade;
    const framing = isTunnel ? "tunnel" : isChunked ? "chunked" : length ? "length" : "none";
    return messageOf([method, target], version, fields, framing);
  }

  #response(asked: Asked): StrictMessage {
    const line = this.#line();
    const match = STATUS_LINE.exec(line);
    if (match === null) refuse(`not a status line: ${JSON.stringify(line)}`);
    const [, minor, status = "", reason = ""] = match;
    const version = minor === "0" ? "1.0" : "1.1";
    const fields = this.#fields();
    checkConnection(fields);
    const { isChunked, length } = framingFields(fields, version);
    const first = [status, reason] as const;
    if (status === "101") {
      if (!asked.isUpgrade || version === "1.0" || upgradeOf(fields, true) === undefined) refuse("101 unasked");
      return messageOf(first, version, fields, "tunnel");
    }
    if (asked.method === "CONNECT" && status.startsWith("2")) return messageOf(first, version, fields, "tunnel");
    const isBare = asked.method === "HEAD" || /^1|^204$|^304$/.test(status);
    if (isBare) return messageOf(first, version, fields, "none");
    const framing = isChunked ? "chunked" : length === undefined ? "close" : length ? "length" : "none";
    return messageOf(first, version, fields, framing);
  }

  #body(message: StrictMessage): void {
    if (message.framing === "length") {
      const length = Number(message.fields.find(([name]) => name === "content-length")![1]);
      message.body = this.#text.slice(this.#at, this.#at + length);
      this.#at += message.body.length;
      if (message.body.length < length) throw new Partial();
    } else if (message.framing === "chunked") this.#chunks(message);
    message.isComplete = true;
  }

  #chunks(message: StrictMessage): void {
    let extensions = 0;
    for (;;) {
      const line = this.#line();
      const match = CHUNK_LINE.exec(line);
      if (match === null) refuse(`not a chunk: ${JSON.stringify(line)}`);
      extensions += line.length - match[1]!.length;
      if (extensions > 4096 || line.length > 256) refuse("too much extension");
      const size = Number.parseInt(match[1]!, 16);
      if (size === 0) break;
      const part = this.#text.slice(this.#at, this.#at + size);
      message.body += part;
      this.#at += part.length;
      if (part.length < size) throw new Partial();
      for (const byte of "\r\n") {
        if (this.#at === this.#text.length) throw new Partial();
        if (this.#text[this.#at] !== byte) refuse("a chunk does not end");
        this.#at += 1;
      }
    }
    message.trailers = this.#fields();
  }
}

function messageOf(
  first: readonly [string, string],
  version: "1.0" | "1.1",
  fields: readonly StrictField[],
  framing: StrictMessage["framing"],
): StrictMessage {
  return { first, version, fields, framing, body: "", trailers: [], isComplete: false };
}

/** The authority of an absolute-form target; refuses what is no target. */
function checkTarget(method: string, target: string): string | undefined {
  if (method === "CONNECT") {
    if (!isStrictAuthority(target) || !/:\d+$/.test(target.replace(/^\[.*?\]/, "v6"))) refuse("not host:port");
    return target;
  }
  if (target.startsWith("/")) {
    if (target.includes("%00")) refuse("an escaped NUL");
    return undefined;
  }
  if (target.startsWith("*")) {
    if (target !== "*" || method !== "OPTIONS") refuse("an asterisk");
    return undefined;
  }
  const match = /^https?:\/\/([^/?]*)(.*)$/i.exec(target);
  if (match === null || !isStrictAuthority(match[1]!) || match[2]!.includes("%00")) refuse("not an absolute target");
  return match[1]!;
}

function checkHost(
  fields: readonly StrictField[],
  version: string,
  method: string,
  target: string,
  absolute: string | undefined,
): void {
  const hosts = fields.filter(([name]) => name === "host").map(([, value]) => value);
  if (hosts.length > 1) refuse("two hosts");
  const [host] = hosts;
  if (host === undefined || (version === "1.0" && host === "")) {
    if (host === undefined && version === "1.1") refuse("no host");
    return;
  }
  if (!isStrictAuthority(host)) refuse("not a host");
  if (absolute === undefined) return;
  if (method === "CONNECT") {
    const bare = absolute.replace(/:\d+$/, "");
    const same = [bare, absolute].some((one) => one.toLowerCase() === host.toLowerCase());
    if (!same) refuse("two hosts");
    return;
  }
  const port = /^https/i.test(target) ? 443 : 80;
  if (withoutPort(host, port) !== withoutPort(absolute, port)) refuse("two hosts");
}

function withoutPort(authority: string, port: number): string {
  const [, host = "", number] = /^(.*?|\[.*\])(?::(\d+))?$/.exec(authority)!;
  return (number !== undefined && Number(number) === port ? host : authority).toLowerCase();
}

/** Options of Connection, in lower case. */
export function connectionOptions(fields: readonly StrictField[]): string[] {
  return fields
    .filter(([name]) => name === "connection")
    .flatMap(([, value]) => value.split(","))
    .map((option) => option.replace(/^[\t ]+|[\t ]+$/g, "").toLowerCase())
    .filter((option) => option !== "");
}

function checkConnection(fields: readonly StrictField[]): void {
  const options = connectionOptions(fields);
  for (const option of options) {
    if (!new RegExp(`^${TOKEN}$`).test(option)) refuse("not a connection option");
    if (["host", "content-length", "transfer-encoding"].includes(option)) refuse("an option that frames or routes");
  }
  const known = ["close", "keep-alive", "upgrade", "te"];
  if (options.filter((option) => !known.includes(option)).length > 16) refuse("too many options");
}

function checkExpect(fields: readonly StrictField[]): void {
  for (const [name, value] of fields) {
    if (name === "expect" && value.toLowerCase() !== "100-continue") refuse("an expectation");
  }
}

/** Length and coding, or a refusal; `length` is undefined where there is none. */
function framingFields(fields: readonly StrictField[], version: string): { isChunked: boolean; length?: number } {
  const values = (wanted: string) => fields.filter(([name]) => name === wanted).map(([, value]) => value);
  if (values("transfer_encoding").length + values("content_length").length > 0) refuse("an underscore");
  const lengths = values("content-length");
  if (lengths.length > 1) refuse("two lengths");
  if (lengths.some((value) => !LENGTH.test(value) || BigInt(value) > LENGTH_MAX)) refuse("not a length");
  const codings = values("transfer-encoding");
  if (codings.length > 1 || codings.some((value) => value.toLowerCase() !== "chunked")) refuse("a coding");
  const isChunked = codings.length === 1;
  if (isChunked && (lengths.length > 0 || version === "1.0")) refuse("two framings");
  return lengths.length === 0 ? { isChunked } : { isChunked, length: Number(lengths[0]) };
}

/** The protocol of an upgrade that is asked for (or granted), h2c apart. */
function upgradeOf(fields: readonly StrictField[], isResponse = false): string | undefined {
  if (!isResponse && !connectionOptions(fields).includes("upgrade")) return undefined;
  const value = fields.find(([name]) => name === "upgrade")?.[1];
  const match = new RegExp(`^(${TOKEN})(?:/(?:${TOKEN})?)?(?=$|[, ])`).exec(value ?? "");
  return match === null || match[1]!.toLowerCase() === "h2c" ? undefined : match[1];
}
