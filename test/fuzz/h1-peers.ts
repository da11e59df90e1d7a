// A client and a server of HTTP/1.1, as good and as bad as people's.

import type { Wire } from "../support/world.ts";
import { type Framing, framingOf, H1Reader, type Head } from "./h1-reader.ts";
import { type Answer, type Ask, BodyCheck, bodyOf, checkMark, type Ledger, type Method, markOf } from "./ledger.ts";
import { Peer } from "./peer.ts";
import type { Random } from "./random.ts";

const CRLF = "\r\n";
const STOLEN = Buffer.from("HTTP/1.1 200 OK\r\nx-answer: stolen\r\ncontent-length: 1\r\n\r\nx");

/** A body in chunks of any size, with trailers now and then. */
export function chunked(body: Buffer, random: Random, mark: string): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const length = Math.min(body.length - at, 1 + random.below(random.pick([5, 300, 70_000])));
    parts.push(Buffer.from(length.toString(16) + CRLF), body.subarray(at, at + length), Buffer.from(CRLF));
    at += length;
  }
  parts.push(Buffer.from(random.once(3) ? `0\r\nx-late: ${mark}\r\n\r\n` : "0\r\n\r\n"));
  return Buffer.concat(parts);
}

/** Looks at the head of an answer: whose it is, and how it must go on. Undefined for an answer of the engine's own. */
export function answerOf(ledger: Ledger, ask: Ask, fields: ReadonlyMap<string, string>): Answer | undefined {
  if (fields.has("x-pillion-unprocessed")) throw new Error("the mark went to a client");
  const number = fields.get("x-answer");
  if (number === undefined) {
    if (!fields.has("x-pillion-reason")) throw new Error(`an answer to ${ask.id} from nowhere`);
    return undefined;
  }
  const answer = ledger.answers[Number(number)]!;
  if (answer.ask !== ask) throw new Error(`the answer to ${answer.ask.id} went to ${ask.id}`);
  checkMark(`a${answer.id}`, fields.get("x-mark"));
  return answer;
}

export class H1Client extends Peer {
  readonly #asks: Ask[] = [];
  /** Index of the ask whose answer is expected next. */
  #current = 0;
  #answer: Answer | undefined;
  #check: BodyCheck | undefined;
  #isTunnel = false;
  #asksMore = true;
  readonly #reader: H1Reader;

  constructor(wire: Wire, ledger: Ledger, random: Random) {
    super(wire, ledger, random);
    this.#reader = new H1Reader({
      head: (head) => this.#head(head),
      data: (bytes) => this.#data(bytes),
      end: () => this.#end(),
    });
  }

  act(): void {
    switch (this.random.below(40)) {
      case 0:
        for (const ask of this.#asks) ask.isGone = true;
        this.cut();
        return;
      case 1:
        for (const ask of this.#asks) ask.isGone = true;
        this.#asksMore = false;
        this.end();
        return;
      case 2:
      case 3:
        if (this.wire.isStalled) this.unstall();
        else this.stall();
        return;
      default:
        if (this.#asksMore && this.#asks.length - this.#current < 3 && this.random.once(3)) this.#ask();
        else this.flush();
    }
  }

  complete(): void {
    this.unstall();
    this.flush(true);
    if (this.#isTunnel) this.end();
    this.flush(true);
  }

  #ask(): void {
    const { random } = this;
    const method = random.pick<Method>([
      "GET",
      "GET",
      "GET",
      "HEAD",
      "POST",
      "POST",
      "POST",
      "PUT",
      "UPGRADE",
      "CONNECT",
    ]);
    const hasBody = method === "POST" || method === "PUT";
    const hasKey = method === "POST" && random.once(4);
    const isTunnel = method === "UPGRADE" || method === "CONNECT";
    if (isTunnel && random.once(2)) return; // fewer of them
    const length = isTunnel ? 10 + random.below(3_000) : hasBody ? random.length() : 0;
    const ask = this.ledger.ask(method, length, hasKey);
    this.#asks.push(ask);
    if (isTunnel) this.#asksMore = false;
    const isOld = !isTunnel && random.once(12);
    const isChunked = hasBody && !isOld && random.once(2);
    const target = method === "CONNECT" ? "web:80" : `/r/${ask.id}`;
    const lines = [
      `${method === "UPGRADE" ? "GET" : method} ${target} HTTP/1.${isOld ? 0 : 1}`,
      "host: web",
      `x-mark: ${markOf(`q${ask.id}`)}`,
    ];
    if (hasKey) lines.push("idempotency-key: k");
    if (method === "UPGRADE") lines.push("connection: upgrade", "upgrade: websocket", "sec-websocket-key: AAAA");
    else if (random.once(15)) {
      lines.push("connection: close");
      this.#asksMore = false;
    }
    if (isOld) this.#asksMore = false;
    if (hasBody) lines.push(isChunked ? "transfer-encoding: chunked" : `content-length: ${length}`);
    if (hasBody && random.once(10) && !isOld) lines.push("expect: 100-continue");
    if (random.once(4)) lines.push("te: trailers");
    if (hasBody && random.once(8)) lines.push("content-type: application/grpc");
    this.write(lines.join(CRLF) + CRLF + CRLF);
    const body = bodyOf(isTunnel ? `t${ask.id}` : `q${ask.id}`, length);
    this.write(isChunked ? chunked(body, random, markOf(`q${ask.id}`)) : body, () => {
      ask.isSent = true;
    });
  }

  #head({ first, fields }: Head): Framing | undefined {
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1] ?? Number.NaN);
    if (Number.isNaN(status)) throw new Error(`not a status line: ${JSON.stringify(first)}`);
    const ask = this.#asks[this.#current];
    if (ask === undefined) throw new Error(`${status} answers nothing`);
    if (status < 200 && status !== 101) return undefined;
    this.#isTunnel = status === 101 || (ask.method === "CONNECT" && status < 300);
    if (this.#isTunnel) {
      if (ask.method !== "UPGRADE" && ask.method !== "CONNECT") throw new Error(`${status} to ${ask.method}`);
      this.#answer = ask.method === "CONNECT" ? undefined : answerOf(this.ledger, ask, fields);
      this.#check = this.#answer && new BodyCheck(`u${this.#answer.id}`, this.#answer.length);
      return "tunnel";
    }
    this.#answer = answerOf(this.ledger, ask, fields);
    this.#check = this.#answer && new BodyCheck(`a${this.#answer.id}`, this.#answer.length);
    if (ask.method === "HEAD" || status === 204 || status === 304) {
      this.#check = undefined;
      return "none";
    }
    return framingOf(fields, "close");
  }

  #data(bytes: Buffer): void {
    if (this.#isTunnel && this.#check === undefined) {
      const answer = this.ledger.answers.findLast((one) => one.ask === this.#asks[this.#current]);
      if (answer === undefined) throw new Error("a tunnel leads nowhere");
      this.#answer = answer;
      this.#check = new BodyCheck(`u${answer.id}`, answer.length);
    }
    this.#check?.take(bytes);
  }

  #end(): void {
    const ask = this.#asks[this.#current]!;
    this.#current += 1;
    this.#check?.finish();
    if (this.#answer !== undefined && !this.#answer.isSaid) throw new Error(`${ask.id}: an end that nobody said`);
    ask.outcome = this.#answer === undefined ? "own" : "whole";
    if (this.#answer !== undefined) this.ledger.whole += 1;
    this.#answer = undefined;
    this.#check = undefined;
  }

  protected receive(bytes: Buffer): void {
    if (bytes.length > 0) this.#reader.push(bytes);
  }

  protected fin(): void {
    this.end();
  }

  protected over(how: "end" | "reset"): void {
    if (this.#reader.isUntilClose && how === "end" && !this.#isTunnel) this.#end();
    for (const ask of this.#asks.slice(this.#current)) ask.outcome ??= "broken";
  }
}

export class H1Server extends Peer {
  #ask: Ask | undefined;
  #check: BodyCheck | undefined;
  #isWhole = false;
  #isAnswered = true;
  #isTunnel = false;
  /** An answer was left unfinished. */
  #isBroken = false;
  readonly #reader: H1Reader;

  constructor(wire: Wire, ledger: Ledger, random: Random) {
    super(wire, ledger, random);
    this.#reader = new H1Reader({
      head: (head) => this.#head(head),
      data: (bytes) => this.#check?.take(bytes),
      end: () => this.#end(),
    });
  }

  act(): void {
    switch (this.random.below(50)) {
      case 0:
        this.cut();
        return;
      case 1:
        if (this.#isBroken) this.cut();
        else this.end();
        return;
      case 2:
        if (this.hasOutput || this.#isBroken || this.#isTunnel) return;
        this.write(this.random.pick(["garbage\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: x\r\n\r\n", "\0"]));
        this.end();
        return;
      case 3:
        if (this.wire.isStalled) this.unstall();
        else this.stall();
        return;
      default:
        if (!this.#isAnswered && this.random.once(this.#isWhole ? 3 : 20)) this.#say();
        else this.flush();
    }
  }

  complete(): void {
    this.unstall();
    if (!this.#isAnswered && this.#isWhole) this.#say();
    if (this.#isTunnel) this.end();
    this.flush(true);
  }

  #head({ first, fields }: Head): Framing {
    if (!this.#isAnswered) throw new Error("a request behind one that waits for its answer");
    const match = /^([A-Z]+) (\S+) HTTP\/1\.1$/.exec(first);
    const ask = this.ledger.askOf(match?.[2], fields.get("x-pillion-mirror"));
    this.#ask = ask;
    checkMark(`q${ask.id}`, fields.get("x-mark"));
    this.#check = new BodyCheck(`q${ask.id}`, ask.length);
    this.#isWhole = false;
    this.#isAnswered = false;
    if (ask.method === "UPGRADE") {
      this.#isWhole = true;
      return "none";
    }
    return framingOf(fields, "none");
  }

  #end(): void {
    const ask = this.#ask!;
    if (ask.method !== "UPGRADE") {
      this.#check?.finish();
      if (!ask.isSent) throw new Error(`request ${ask.id} ended before its client said so`);
    }
    this.#isWhole = true;
    this.ledger.execute(ask);
  }

  #say(): void {
    const ask = this.#ask!;
    const { random } = this;
    this.#isAnswered = true;
    const isSwitch = ask.method === "UPGRADE" && !random.once(4);
    if (isSwitch) {
      const answer = this.ledger.answer(ask, random.below(3_000));
      const upgrade = "connection: upgrade\r\nupgrade: websocket";
      const fields = `${upgrade}\r\nx-answer: ${answer.id}\r\nx-mark: ${markOf(`a${answer.id}`)}`;
      this.#isTunnel = true;
      this.#check = new BodyCheck(`t${ask.id}`, ask.length);
      this.#reader.push(Buffer.alloc(0));
      this.tunnel();
      this.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n`);
      this.write(bodyOf(`u${answer.id}`, answer.length), () => {
        answer.isSaid = true;
      });
      return;
    }
    if (random.once(5))
      this.write(random.pick(["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"]));
    const status = random.pick([200, 200, 200, 200, 200, 404, 503, 502, 204]);
    const answer = this.ledger.answer(ask, status === 204 ? 0 : random.length());
    const said = () => {
      answer.isSaid = true;
    };
    const kind = random.below(status === 204 ? 1 : 3);
    const lines = [`HTTP/1.1 ${status} Whatever`, `x-answer: ${answer.id}`, `x-mark: ${markOf(`a${answer.id}`)}`];
    if (status !== 204 && kind === 0) lines.push(`content-length: ${answer.length}`);
    if (kind === 1) lines.push("transfer-encoding: chunked");
    if (random.once(15)) lines.push("x-pillion-unprocessed: 1");
    const closes = kind === 2 || random.once(8);
    if (closes) lines.push("connection: close");
    const body = bodyOf(`a${answer.id}`, answer.length);
    const head = Buffer.from(lines.join(CRLF) + CRLF + CRLF);
    if (ask.method === "HEAD") this.write(head, said);
    else {
      this.write(head);
      const whole = kind === 1 ? chunked(body, random, markOf(`a${answer.id}`)) : body;
      if (random.once(12) && whole.length > 0) {
        this.write(whole.subarray(0, random.below(whole.length))); // and no more: a promise not kept
        this.#isBroken = true;
        if (kind !== 2) this.end();
        return;
      }
      // An answer that nobody asked for, right behind: it must never answer the next request.
      const extra = kind !== 2 && whole.length > 0 && random.once(25);
      if (extra) this.write(Buffer.concat([whole, STOLEN]), said, true);
      else this.write(whole, said);
    }
    if (closes) this.end();
  }

  /** From here on the reader's bytes are a tunnel's. */
  tunnel(): void {
    this.#tunnelling = true;
  }
  #tunnelling = false;

  protected receive(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.#tunnelling) this.#check?.take(bytes);
    else this.#reader.push(bytes);
  }

  protected fin(): void {
    if (this.#isBroken) this.cut();
    else this.end();
  }

  protected over(): void {}
}

/** What a CONNECT reaches: a server of bytes. */
export class RawServer extends Peer {
  #first: Buffer = Buffer.alloc(0);
  #check: BodyCheck | undefined;

  act(): void {
    switch (this.random.below(40)) {
      case 0:
        this.cut();
        return;
      case 1:
        this.end();
        return;
      default:
        this.flush();
    }
  }

  complete(): void {
    this.unstall();
    this.end();
    this.flush(true);
  }

  protected receive(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.#check !== undefined) {
      this.#check.take(bytes);
      return;
    }
    this.#first = Buffer.concat([this.#first, bytes]);
    const id = /^t(\d+)\./.exec(this.#first.toString("latin1"))?.[1];
    if (id === undefined) return;
    const ask = this.ledger.asks[Number(id)]!;
    this.ledger.execute(ask);
    this.#check = new BodyCheck(`t${id}`, ask.length);
    this.#check.take(this.#first);
    const answer = this.ledger.answer(ask, this.random.below(5_000));
    this.write(bodyOf(`u${answer.id}`, answer.length), () => {
      answer.isSaid = true;
    });
  }

  protected fin(): void {
    this.end();
  }

  protected over(): void {}
}
