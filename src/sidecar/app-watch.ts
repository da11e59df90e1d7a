// Whether the app beside us accepts connections: asked by connecting, often while it starts, once a second after that.
//
// A refused connection is a plain answer: there is no app. Silence may be a full backlog, so it takes two in a row.

import { connect } from "node:net";
import type { Address, Clock, Timer } from "../base/index.ts";

/** While it does not accept: a start should not wait for our clock. */
const ASK_DOWN_MS = 100;
/** While it accepts: a dead app is out of the registry within a second. */
const ASK_UP_MS = 1_000;
/** While we drain: the outbound ends with the app. */
const ASK_DRAINING_MS = 100;
/** To a socket on this host. */
const CONNECT_MS = 1_000;
const SILENCES_MAX = 2;

type Answer = "accepts" | "refuses" | "silent";

export interface AppWatchOptions {
  readonly address: Address;
  readonly clock: Clock;
  /** Called with every change, first when it accepts for the first time. */
  readonly changed: (isUp: boolean) => void;
  /** Asks once; another one than the real one in tests. */
  readonly ask?: (address: Address) => Promise<Answer>;
}

export class AppWatch {
  readonly #options: AppWatchOptions;
  readonly #ask: (address: Address) => Promise<Answer>;
  #isUp = false;
  #isDraining = false;
  #isStopped = false;
  #silences = 0;
  #timer: Timer | undefined;

  constructor(options: AppWatchOptions) {
    this.#options = options;
    this.#ask = options.ask ?? askByConnecting;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  start(): void {
    void this.#round();
  }

  /** Looks more often from now on. */
  drain(): void {
    this.#isDraining = true;
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  async #round(): Promise<void> {
    const answer = await this.#ask(this.#options.address);
    if (this.#isStopped) return;
    this.#silences = answer === "silent" ? this.#silences + 1 : 0;
    const isUp = answer === "accepts" || (answer === "silent" && this.#isUp && this.#silences < SILENCES_MAX);
    if (isUp !== this.#isUp) {
      this.#isUp = isUp;
      this.#options.changed(isUp);
    }
    const pauseMs = this.#isDraining ? ASK_DRAINING_MS : isUp ? ASK_UP_MS : ASK_DOWN_MS;
    this.#timer = this.#options.clock.after(pauseMs, () => void this.#round());
  }
}

function askByConnecting({ host, port }: Address): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answer: Answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(CONNECT_MS, () => end("silent"));
    socket.once("connect", () => end("accepts"));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code === "ETIMEDOUT" ? "silent" : "refuses"));
  });
}
