// Node's own HTTP/1.1 parser (llhttp, strict), without sockets: the one that node:http uses.

import { createRequire } from "node:module";

interface Parser {
  initialize(type: number, resource: object, maxHeaderSize: number, flags: number): void;
  execute(bytes: Buffer): number | Error;
  finish(): Error | undefined;
  [event: number]: (...values: never[]) => number | undefined;
}

interface ParserClass {
  new (): Parser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

const { HTTPParser, methods } = createRequire(import.meta.url)("_http_common") as {
  HTTPParser: ParserClass;
  methods: readonly string[];
};

export interface LlhttpMessage {
  /** Method and target, or status. */
  readonly first: string;
  body: string;
  isComplete: boolean;
}

export interface LlhttpReading {
  readonly messages: readonly LlhttpMessage[];
  /** HPE_*; undefined when nothing was wrong. */
  readonly error: string | undefined;
}

/** Reads requests, or the responses to one whose answer has a body. */
export function readLlhttp(text: string, isResponse: boolean): LlhttpReading {
  const parser = new HTTPParser();
  const messages: LlhttpMessage[] = [];
  parser.initialize(isResponse ? HTTPParser.RESPONSE : HTTPParser.REQUEST, {}, 0, 0);
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    _fields: unknown,
    method: number,
    url: string,
    status: number,
  ) => {
    const first = isResponse ? String(status) : `${methods[method]} ${url}`;
    messages.push({ first, body: "", isComplete: false });
    return 0;
  };
  parser[HTTPParser.kOnBody] = (bytes: Buffer) => {
    messages.at(-1)!.body += bytes.toString("latin1");
    return undefined;
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    messages.at(-1)!.isComplete = true;
    return undefined;
  };
  const result = parser.execute(Buffer.from(text, "latin1"));
  const end = result instanceof Error ? result : parser.finish();
  const code = end instanceof Error ? ((end as NodeJS.ErrnoException).code ?? end.message) : undefined;
  return { messages, error: code };
}
