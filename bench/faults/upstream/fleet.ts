// The servers of a run: started once, struck and reset from fault to fault.

import { type ChildProcess, fork } from "node:child_process";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { end } from "../../system/process.ts";
import type { Fault } from "../faults.ts";
import type { Order, Reply } from "./server.ts";

/** As node's own default. */
const BACKLOG = 511;
/** The kernel adds one to it. */
const BACKLOG_SMALL = 1;
const FILLERS = 4;
const STAY_MS = 1_000;

type Step = Order extends infer Each ? (Each extends Order ? Omit<Each, "turn"> : never) : never;

class Upstream {
  readonly child: ChildProcess;
  #turn = 0;
  readonly #waiting = new Map<number, (reply: Reply) => void>();

  constructor() {
    this.child = fork(join(import.meta.dirname, "server.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.child.on("message", (reply: Reply) => {
      this.#waiting.get(reply.turn)?.(reply);
      this.#waiting.delete(reply.turn);
    });
  }

  tell(step: Step): Promise<Reply> {
    this.#turn += 1;
    const turn = this.#turn;
    return new Promise((resolve) => {
      this.#waiting.set(turn, resolve);
      this.child.send({ ...step, turn });
    });
  }
}

export class Fleet implements AsyncDisposable {
  readonly #upstreams: readonly Upstream[];
  /** By server, then by lane. */
  readonly #ports: readonly (readonly number[])[];
  readonly #timers = new Set<NodeJS.Timeout>();
  #fillers: Socket[] = [];
  #stopped: Upstream | undefined;
  /** Counts resets, so that a move under way does not outlive one. */
  #round = 0;

  private constructor(upstreams: readonly Upstream[], ports: readonly (readonly number[])[]) {
    this.#upstreams = upstreams;
    this.#ports = ports;
  }

  /** Starts `servers` processes with a port for each of `lanes` proxies. */
  static async start(servers: number, lanes: number): Promise<Fleet> {
    const upstreams = Array.from({ length: servers }, () => new Upstream());
    const replies = await Promise.all(upstreams.map((one) => one.tell({ kind: "open", ports: lanes })));
    return new Fleet(
      upstreams,
      replies.map(({ ports }) => ports),
    );
  }

  /** The servers of a proxy. */
  portsOf(lane: number): number[] {
    return this.#ports.map((ports) => ports[lane] ?? 0);
  }

  /** The fault begins; those that move go on by themselves until `reset`. */
  async strike({ act, scope, stop, stayMs = STAY_MS }: Fault): Promise<void> {
    const [first] = this.#upstreams;
    if (first === undefined) return;
    if (stop !== undefined) await this.#stop(first, stop);
    else if (scope === "moving") await this.#move(act, 0, stayMs);
    else {
      const struck = scope === "all" ? this.#upstreams : [first];
      await Promise.all(struck.map((one) => one.tell({ kind: "act", act, backlog: BACKLOG })));
    }
  }

  /** All is well again, and every connection closed; what was executed by lane, one entry for each time. */
  async reset(): Promise<number[][]> {
    this.#round += 1;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#stopped?.child.kill("SIGCONT");
    this.#stopped = undefined;
    for (const socket of this.#fillers) socket.destroy();
    this.#fillers = [];
    const replies = await Promise.all(this.#upstreams.map((one) => one.tell({ kind: "reset" })));
    return (this.#ports[0] ?? []).map((_, lane) => replies.flatMap(({ executed }) => executed[lane] ?? []));
  }

  async #move(act: string, index: number, stayMs: number): Promise<void> {
    const upstream = this.#upstreams[index];
    if (upstream === undefined) return;
    const round = this.#round;
    await upstream.tell({ kind: "act", act, backlog: BACKLOG });
    if (round !== this.#round) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void upstream.tell({ kind: "act", act: "none", backlog: BACKLOG });
      void this.#move(act, (index + 1) % this.#upstreams.length, stayMs);
    }, stayMs);
    this.#timers.add(timer);
  }

  async #stop(upstream: Upstream, how: "frozen" | "blackhole"): Promise<void> {
    if (how === "blackhole") await upstream.tell({ kind: "act", act: "none", backlog: BACKLOG_SMALL });
    this.#stopped = upstream;
    upstream.child.kill("SIGSTOP");
    if (how === "frozen") return;
    for (const port of this.#ports[0] ?? []) {
      // A queue that nobody empties: from then on the kernel drops every SYN.
      for (let count = 0; count < FILLERS; count += 1) {
        this.#fillers.push(connect(port, "127.0.0.1").on("error", () => {}));
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped?.child.kill("SIGCONT");
    for (const socket of this.#fillers) socket.destroy();
    await Promise.all(this.#upstreams.map(({ child }) => end(child)));
  }
}
