// What was said in a fuzzed conversation, and by whom: every byte of a body names its message, so that a byte that
// reaches the wrong one shows, and what was executed twice is counted.

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "CONNECT" | "UPGRADE";

export interface Ask {
  readonly id: number;
  readonly method: Method;
  readonly length: number;
  /** Allowed to be executed again: the method or a key says so. */
  readonly isRepeatable: boolean;
  /** The last byte of it went to the engine. */
  isSent: boolean;
  /** The client gave it up: whatever comes is welcome. */
  isGone: boolean;
  /** How it ended for its client. */
  outcome: "whole" | "own" | "broken" | undefined;
  executions: number;
}

export interface Answer {
  readonly id: number;
  readonly ask: Ask;
  readonly length: number;
  /** All of it, its end included, went to the engine. */
  isSaid: boolean;
}

export class Ledger {
  readonly asks: Ask[] = [];
  readonly answers: Answer[] = [];
  /** Answers that reached a client whole. */
  whole = 0;

  ask(method: Method, length: number, hasKey: boolean): Ask {
    const isRepeatable = method !== "POST" || hasKey;
    const id = this.asks.length;
    const ask: Ask = {
      id,
      method,
      length,
      isRepeatable,
      isSent: false,
      isGone: false,
      outcome: undefined,
      executions: 0,
    };
    this.asks.push(ask);
    return ask;
  }

  answer(ask: Ask, length: number): Answer {
    const answer: Answer = { id: this.answers.length, ask, length, isSaid: false };
    this.answers.push(answer);
    return answer;
  }

  /** A server has received a whole request. */
  execute(ask: Ask): void {
    ask.executions += 1;
    if (ask.executions > 1 && !ask.isRepeatable) throw new Error(`request ${ask.id} was executed twice`);
  }

  /** A server proved that it has not executed it after all. */
  takeBack(ask: Ask): void {
    ask.executions -= 1;
  }

  /** What a server is asked. A copy says so by its mark: it is executed besides the original, and once at most. */
  askOf(path: string | undefined, mark: string | undefined): Ask {
    const ask = this.asks[Number(/^\/r\/(\d+)$/.exec(path ?? "")?.[1] ?? -1)];
    if (ask === undefined) throw new Error(`a server was asked for ${path}`);
    if (mark === undefined) return ask;
    if (!ask.isSent) throw new Error(`request ${ask.id} was copied before its client had said all of it`);
    return { ...ask, isRepeatable: false, executions: 0 };
  }
}

const texts = new Map<string, Buffer>();

/** The body of a message: its tag again and again. */
export function bodyOf(tag: string, length: number): Buffer {
  let text = texts.get(tag);
  if (text === undefined || text.length < length) {
    text = Buffer.alloc(Math.max(length, 256), `${tag}.`, "latin1");
    texts.set(tag, text);
  }
  return text.subarray(0, length);
}

/** A field value that says whose head it stands in: the tag again and again, as often as the tag's letters tell. */
export function markOf(tag: string): string {
  const times = 1 + ([...tag].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 0) % 40);
  return `${tag}-`.repeat(times);
}

/** Throws when the head or the trailers of `tag` hold another's mark, or none. */
export function checkMark(tag: string, mark: string | undefined): void {
  if (mark !== markOf(tag)) throw new Error(`the fields of ${tag} hold ${JSON.stringify(mark)}`);
}

export function forgetBodies(): void {
  texts.clear();
}

/** Compares what arrived of a body, piece by piece, with what it should be. */
export class BodyCheck {
  readonly #tag: string;
  readonly #limit: number;
  received = 0;

  constructor(tag: string, limit: number) {
    this.#tag = tag;
    this.#limit = limit;
  }

  take(bytes: Buffer): void {
    const from = this.received;
    this.received += bytes.length;
    if (this.received > this.#limit) throw new Error(`${this.#tag} has ${this.received} bytes of ${this.#limit}`);
    if (!bodyOf(this.#tag, this.received).subarray(from).equals(bytes)) {
      const text = bytes.subarray(0, 80).toString("latin1");
      throw new Error(`${this.#tag} at ${from} holds other bytes: ${JSON.stringify(text)}`);
    }
  }

  /** The message claims to be complete. */
  finish(): void {
    if (this.received !== this.#limit) {
      throw new Error(`${this.#tag} ended cleanly after ${this.received} of ${this.#limit} bytes`);
    }
  }
}
