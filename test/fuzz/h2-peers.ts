// A client and a server of HTTP/2, as good and as bad as people's.

import * as h2 from "../support/frames.ts";
import type { Wire } from "../support/world.ts";
import { answerOf } from "./h1-peers.ts";
import { H2Peer, Stream } from "./h2-peer.ts";
import { type Answer, type Ask, BodyCheck, checkMark, type Ledger, type Method, markOf } from "./ledger.ts";
import type { Random } from "./random.ts";

const CANCEL = 8;
const REFUSED_STREAM = 7;
const WHOLE = h2.END_HEADERS | h2.END_STREAM;

class CallStream extends Stream {
  ask: Ask | undefined;
  answer: Answer | undefined;
  check: BodyCheck | undefined;
  hasHead = false;
  isTunnel = false;
}

export class H2Client extends H2Peer<CallStream> {
  protected readonly reader = new h2.FrameReader(false);
  #nextId = 1;
  #isGone = false;

  constructor(wire: Wire, ledger: Ledger, random: Random) {
    super(wire, ledger, random);
    this.begin(true);
  }

  act(): void {
    switch (this.random.below(60)) {
      case 0:
        this.#give();
        this.cut();
        return;
      case 1:
        this.#give();
        this.end();
        return;
      case 2:
        this.#give();
        this.goAway(0);
        return;
      case 3:
      case 4:
        if (this.wire.isStalled) this.unstall();
        else this.stall();
        return;
      case 5:
      case 6: {
        const open = [...this.streams.values()].filter((one) => !one.isReset && !one.isHeard);
        if (open.length === 0) return;
        const stream = this.random.pick(open);
        stream.ask!.isGone = true;
        this.resetStream(stream, CANCEL);
        return;
      }
      case 7:
        this.write(h2.ping());
        return;
      default:
        if (!this.#isGone && this.#openCount() < 5 && this.random.once(4)) this.#ask();
        else if (this.random.once(5)) this.grant(this.random.pick([1, 1, 100, 5_000, 100_000]));
        else if (this.random.once(2)) this.sendPiece();
        else this.flush();
    }
  }

  complete(): void {
    this.unstall();
    this.grant(10_000_000);
    for (let index = 0; index < 50; index += 1) this.sendPiece(true);
    this.flush(true);
  }

  #openCount(): number {
    return [...this.streams.values()].filter((one) => !one.isReset && !one.isHeard).length;
  }

  /** Gives everything up. */
  #give(): void {
    this.#isGone = true;
    for (const stream of this.streams.values()) stream.ask!.isGone = true;
  }

  #ask(): void {
    if (this.lastAllowed !== 0x7fffffff) return;
    const { random } = this;
    const method = random.pick<Method>(["GET", "GET", "HEAD", "POST", "POST", "POST", "PUT", "UPGRADE", "CONNECT"]);
    const isTunnel = method === "UPGRADE" || method === "CONNECT";
    if (isTunnel && random.once(2)) return;
    const hasBody = method === "POST" || method === "PUT";
    const hasKey = method === "POST" && random.once(4);
    const ask = this.ledger.ask(method, isTunnel ? 10 + random.below(3_000) : hasBody ? random.length() : 0, hasKey);
    const stream = this.add(new CallStream(this.#nextId, ...this.windows));
    this.#nextId += 2;
    stream.ask = ask;
    const fields: [string, string][] = [[":method", isTunnel ? "CONNECT" : method]];
    if (method === "CONNECT") fields.push([":authority", "web:80"]);
    else fields.push([":scheme", "http"], [":path", `/r/${ask.id}`], [":authority", "web"]);
    if (method === "UPGRADE") fields.push([":protocol", "websocket"]);
    if (hasKey) fields.push(["idempotency-key", "k"]);
    const isCounted = ask.length > 0 && !isTunnel && random.once(2);
    if (isCounted) fields.push(["content-length", String(ask.length)]);
    if (hasBody && random.once(4)) fields.push(["content-type", "application/grpc"]);
    if (random.once(3)) fields.push(["te", "trailers"]);
    const sent = () => {
      ask.isSent = true;
    };
    fields.push(["x-mark", markOf(`q${ask.id}`)]);
    if (!hasBody && !isTunnel) this.write(h2.headers(stream.id, fields, WHOLE), sent);
    else {
      this.write(h2.headers(stream.id, fields));
      if (isTunnel) stream.outgoing = undefined;
      else this.sendBody(stream, `q${ask.id}`, ask.length, sent, isCounted);
    }
  }

  protected onHead(id: number, fields: ReadonlyMap<string, string>, end: boolean): void {
    const stream = this.streams.get(id);
    if (stream === undefined) throw new Error(`an answer on stream ${id}`);
    if (stream.isReset) return;
    if (stream.isHeard) throw new Error(`a head behind the end of stream ${id}`);
    if (stream.hasHead) {
      if (!end || fields.has(":status")) throw new Error(`a second head on stream ${id}`);
      if (stream.answer !== undefined) checkMark(`a${stream.answer.id}`, fields.get("x-late"));
      this.#finish(stream);
      return;
    }
    const status = Number(fields.get(":status"));
    if (status < 200) return;
    stream.hasHead = true;
    const ask = stream.ask!;
    stream.isTunnel = (ask.method === "CONNECT" || ask.method === "UPGRADE") && status < 300;
    if (stream.isTunnel) {
      if (ask.method === "UPGRADE") stream.answer = answerOf(this.ledger, ask, fields);
      if (stream.answer !== undefined) stream.check = new BodyCheck(`u${stream.answer.id}`, stream.answer.length);
      this.sendBody(stream, `t${ask.id}`, ask.length, () => {});
      stream.outgoing = { body: stream.outgoing!.body, trailers: undefined, sent: () => {} };
    } else {
      stream.answer = answerOf(this.ledger, ask, fields);
      if (ask.method !== "HEAD" && stream.answer !== undefined && status !== 204) {
        stream.check = new BodyCheck(`a${stream.answer.id}`, stream.answer.length);
      }
    }
    if (end) this.#finish(stream);
  }

  protected onData(stream: CallStream, bytes: Buffer, end: boolean): void {
    if (stream.isTunnel && stream.check === undefined && bytes.length > 0) {
      const answer = this.ledger.answers.findLast((one) => one.ask === stream.ask);
      if (answer === undefined) throw new Error("a tunnel leads nowhere");
      stream.answer = answer;
      stream.check = new BodyCheck(`u${answer.id}`, answer.length);
    }
    stream.check?.take(bytes);
    if (end) this.#finish(stream);
  }

  #finish(stream: CallStream): void {
    stream.isHeard = true;
    const ask = stream.ask!;
    if (stream.isTunnel) {
      ask.outcome = "whole";
      return;
    }
    stream.check?.finish();
    if (stream.answer !== undefined && !stream.answer.isSaid) throw new Error(`${ask.id}: an end that nobody said`);
    ask.outcome = stream.answer === undefined ? "own" : "whole";
    if (stream.answer !== undefined) this.ledger.whole += 1;
  }

  protected onReset(stream: CallStream, _code: number): void {
    stream.ask!.outcome ??= "broken";
  }

  protected onGoaway(): void {
    for (const stream of this.streams.values()) if (stream.id > this.lastAllowed) stream.ask!.outcome ??= "broken";
  }

  protected over(): void {
    for (const stream of this.streams.values()) stream.ask!.outcome ??= "broken";
  }
}

class ServeStream extends Stream {
  ask: Ask | undefined;
  check: BodyCheck | undefined;
  isWhole = false;
  isAnswered = false;
}

export class H2Server extends H2Peer<ServeStream> {
  protected readonly reader = new h2.FrameReader(true);
  #lastTaken = 0x7fffffff;
  #highest = 0;

  constructor(wire: Wire, ledger: Ledger, random: Random) {
    super(wire, ledger, random);
    this.begin(false);
  }

  act(): void {
    switch (this.random.below(80)) {
      case 0:
        this.cut();
        return;
      case 1:
        this.end();
        return;
      case 2:
        this.#leave();
        return;
      case 3:
        this.write(
          this.random.pick([Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), h2.data(99, "x"), h2.settings([], 1)]),
        );
        return;
      case 4:
        if (this.wire.isStalled) this.unstall();
        else this.stall();
        return;
      case 5:
      case 6:
        this.#refuse();
        return;
      default: {
        const open = [...this.streams.values()].filter((one) => !one.isAnswered && !one.isReset);
        const stream = open.length === 0 ? undefined : this.random.pick(open);
        if (stream !== undefined && this.random.once(stream.isWhole ? 3 : 25)) this.#say(stream);
        else if (this.random.once(5)) this.grant(this.random.pick([1, 1, 100, 5_000, 100_000]));
        else if (this.random.once(2)) this.sendPiece();
        else this.flush();
      }
    }
  }

  complete(): void {
    this.unstall();
    this.grant(10_000_000);
    for (const stream of this.streams.values()) {
      if (!stream.isAnswered && !stream.isReset && (stream.isWhole || stream.ask?.method === "UPGRADE"))
        this.#say(stream);
    }
    for (let index = 0; index < 50; index += 1) this.sendPiece(true);
    this.flush(true);
  }

  /** GOAWAY: what is above the last taken is given back. */
  #leave(): void {
    if (this.#lastTaken !== 0x7fffffff) return;
    this.#lastTaken = this.random.once(2) ? this.#highest : Math.max(0, this.#highest - 2);
    for (const stream of this.streams.values()) {
      if (stream.id > this.#lastTaken) this.#giveBack(stream);
    }
    this.goAway(this.#lastTaken);
  }

  #refuse(): void {
    const open = [...this.streams.values()].filter((one) => !one.isAnswered && !one.isReset);
    if (open.length === 0) return;
    const stream = this.random.pick(open);
    if (this.random.once(2)) {
      this.resetStream(stream, this.random.pick([2, CANCEL, 0]));
      return;
    }
    this.#giveBack(stream);
    this.resetStream(stream, REFUSED_STREAM);
  }

  #giveBack(stream: ServeStream): void {
    if (stream.isWhole && !stream.isAnswered && !stream.isReset) this.ledger.takeBack(stream.ask!);
    stream.isReset = true;
    stream.outgoing = undefined;
  }

  #say(stream: ServeStream): void {
    const { random } = this;
    const ask = stream.ask!;
    stream.isAnswered = true;
    if (random.once(6)) this.write(h2.headers(stream.id, [[":status", random.pick(["100", "103"])]]));
    const isTunnel = ask.method === "UPGRADE";
    const status = isTunnel
      ? random.pick(["200", "200", "403"])
      : random.pick(["200", "200", "200", "200", "503", "404"]);
    const answer = this.ledger.answer(ask, isTunnel ? random.below(3_000) : random.length());
    const fields: [string, string][] = [
      [":status", status],
      ["x-answer", String(answer.id)],
      ["x-mark", markOf(`a${answer.id}`)],
    ];
    const said = () => {
      answer.isSaid = true;
    };
    if (random.once(15)) fields.push(["x-pillion-unprocessed", "1"]);
    const isCounted = !isTunnel && random.once(2) && ask.method !== "HEAD" && answer.length > 0;
    if (isCounted) fields.push(["content-length", String(answer.length)]);
    if (ask.method === "HEAD") {
      this.write(h2.headers(stream.id, fields, WHOLE), said);
      return;
    }
    this.write(h2.headers(stream.id, fields));
    const isSwitched = isTunnel && status === "200";
    if (isSwitched) stream.check = new BodyCheck(`t${ask.id}`, ask.length);
    this.sendBody(stream, `${isSwitched ? "u" : "a"}${answer.id}`, answer.length, said, isCounted);
    if (isSwitched) stream.outgoing = { body: stream.outgoing!.body, trailers: undefined, sent: said };
  }

  protected onHead(id: number, fields: ReadonlyMap<string, string>, end: boolean): void {
    const known = this.streams.get(id);
    if (known !== undefined) {
      if (!end) throw new Error(`a second head on stream ${id}`);
      checkMark(`q${known.ask!.id}`, fields.get("x-late"));
      if (!known.isReset) this.#finish(known);
      return;
    }
    this.#highest = id;
    const ask = this.ledger.askOf(fields.get(":path"), fields.get("x-pillion-mirror"));
    const stream = this.add(new ServeStream(id, ...this.windows));
    stream.ask = ask;
    checkMark(`q${ask.id}`, fields.get("x-mark"));
    stream.check = new BodyCheck(`q${ask.id}`, ask.length);
    if (id > this.#lastTaken) {
      stream.isReset = true;
      return;
    }
    if (end) this.#finish(stream);
  }

  protected onData(stream: ServeStream, bytes: Buffer, end: boolean): void {
    stream.check!.take(bytes);
    if (end) this.#finish(stream);
  }

  #finish(stream: ServeStream): void {
    const ask = stream.ask!;
    stream.isHeard = true;
    stream.isWhole = true;
    if (ask.method === "UPGRADE") return;
    stream.check!.finish();
    if (!ask.isSent) throw new Error(`request ${ask.id} ended before its client said so`);
    this.ledger.execute(ask);
  }

  protected onReset(): void {}
  protected onGoaway(): void {}
  protected over(): void {}
}
