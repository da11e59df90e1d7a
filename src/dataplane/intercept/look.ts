// One redirected connection while nobody knows yet what it is: reads until the client's first bytes tell.
//
//   silent for FIRST_BYTES_MS ─► connect to the destination ─┬─ it speaks first ─► a server-first destination: pass
//                                                            └─ the client does ──┐
//   first bytes ─┬─ HTTP/1.x ─► its Host ──────────────────────────────┬─ known ──┴► the engine
//                ├─ HTTP/2 ─► the :authority of its first request ─────┴─ unknown ─► pass
//                └─ TLS, anything else ────────────────────────────────────────────► pass

import type { Socket } from "node:net";
import type { Address } from "../../base/index.ts";
import { CONNECT_TIMEOUT_MS } from "../tcp/connection.ts";
import { openUpstream } from "../tcp/relay.ts";
import { AuthorityReader, EMPTY_SETTINGS, withoutAcknowledgement } from "./authority.ts";
import { DETECT_BYTES_MAX, detectProtocol } from "./detect.ts";

/** Clients that speak first do so at once. Waiting for ever, as Istio's default, hangs clients of other servers. */
const FIRST_BYTES_MS = 250;
/** Of a head that has begun; Linkerd's time for detection. */
const WHOLE_HEAD_MS = 10_000;
/** An HTTP/2 client that has said its preface and no request by then waits for SETTINGS. */
const SETTINGS_MS = 50;

/** What became of it; the socket is paused, and `first` is what was read of it. */
export type Finding =
  | { readonly kind: "http"; readonly first: readonly Buffer[] }
  /** `upstream`: already connected, with what the server said first. */
  | { readonly kind: "pass"; readonly first: readonly Buffer[]; readonly upstream: Socket | undefined }
  /** The client is silent and its destination is not there. */
  | { readonly kind: "unreachable" }
  | { readonly kind: "gone" };

export interface LookOptions {
  readonly socket: Socket;
  readonly target: Address;
  /** Whether the target may be connected to while the client is silent. */
  readonly mayPass: boolean;
  /** Whether the engine is to have the requests for that host; undefined: the request names none. */
  readonly isWanted: (host: string | undefined) => boolean;
  /** Whether HTTP/2 is the engine's whomever it is for. */
  readonly isEveryHostWanted: boolean;
  /** The target has spoken first. */
  readonly serverSpoke: () => void;
  /** Called once. */
  readonly found: (finding: Finding) => void;
}

export class Look {
  readonly #options: LookOptions;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout;
  #isOver = false;
  #upstream: Socket | undefined;
  #authority: AuthorityReader | undefined;
  /** What the first request of an HTTP/2 connection says. */
  #request: { readonly host: string | undefined } | undefined;
  /** Whether the client was sent SETTINGS, which it acknowledges. */
  #hasAsked = false;

  constructor(options: LookOptions) {
    this.#options = options;
    this.#timer = setTimeout(() => this.#connect(), FIRST_BYTES_MS);
    options.socket.on("data", this.#read).on("end", this.#pass).on("close", this.#gone).resume();
  }

  readonly #read = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#authority !== undefined) {
      this.#authority.write(chunk);
      if (this.#bytes > DETECT_BYTES_MAX) this.#pass();
      else this.#decideH2();
      return;
    }
    const verdict = detectProtocol(this.#all());
    if (verdict.kind === "tcp") this.#pass();
    else if (verdict.kind === "http1") this.#decide(verdict.host);
    else if (verdict.kind === "more") this.#wait(WHOLE_HEAD_MS, this.#pass);
    else if (this.#options.isEveryHostWanted) this.#give();
    else this.#readH2();
  };

  #readH2(): void {
    this.#wait(SETTINGS_MS, () => {
      this.#hasAsked = true;
      this.#options.socket.write(EMPTY_SETTINGS);
      this.#wait(WHOLE_HEAD_MS, this.#pass);
    });
    this.#authority = new AuthorityReader((host) => {
      this.#request ??= { host };
      this.#decideH2();
    });
    this.#authority.write(this.#all());
  }

  #decideH2(): void {
    if (this.#isOver || this.#request === undefined) return;
    // The acknowledgement of our SETTINGS may come behind the request; it must not reach who serves the connection.
    if (this.#hasAsked && withoutAcknowledgement(this.#all()) === undefined) return;
    this.#decide(this.#request.host);
  }

  #decide(host: string | undefined): void {
    if (this.#options.isWanted(host)) this.#give();
    else this.#pass();
  }

  /** The client is silent: perhaps it waits for the server. */
  #connect(): void {
    const { target, mayPass, serverSpoke } = this.#options;
    if (!mayPass) {
      this.#wait(WHOLE_HEAD_MS, this.#pass);
      return;
    }
    const upstream = openUpstream(target, CONNECT_TIMEOUT_MS);
    this.#upstream = upstream;
    upstream.once("data", (first: Buffer) => {
      if (this.#isOver) return;
      upstream.pause();
      upstream.unshift(first);
      serverSpoke();
      this.#pass();
    });
    // A FIN without a word is passed on as well.
    upstream.once("end", this.#pass);
    upstream.once("close", () => {
      if (this.#isOver || this.#bytes > 0 || !this.#stop()) return;
      this.#options.found({ kind: "unreachable" });
    });
  }

  readonly #pass = (): void => {
    if (!this.#stop()) return;
    const upstream = this.#upstream?.destroyed === false ? this.#upstream : undefined;
    this.#options.found({ kind: "pass", first: this.#first(), upstream });
  };

  readonly #gone = (): void => {
    if (!this.#stop()) return;
    this.#upstream?.destroy();
    this.#options.found({ kind: "gone" });
  };

  #give(): void {
    // Destroyed and not closed yet: there is no descriptor any more, and `close` comes.
    if (this.#options.socket.destroyed || !this.#stop()) return;
    this.#upstream?.destroy();
    this.#options.found({ kind: "http", first: this.#first() });
  }

  #first(): readonly Buffer[] {
    if (!this.#hasAsked) return this.#chunks;
    const bytes = this.#all();
    return [withoutAcknowledgement(bytes) ?? bytes];
  }

  /** All that was read. */
  #all(): Buffer {
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  /** False: it was over already. */
  #stop(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#authority?.stop();
    this.#upstream?.removeAllListeners("data").off("end", this.#pass).pause();
    this.#options.socket.off("data", this.#read).off("end", this.#pass).off("close", this.#gone).pause();
    return true;
  }
}
