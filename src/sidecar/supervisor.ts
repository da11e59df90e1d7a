// Keeps the data-plane workers alive.
//
//           start ──► starting ──started──► up ──exit, silence──► gone ──pause──► starting …
//
// A worker that traps ends by itself; one that hangs is noticed by its missing beats and ended. Either way its share of
// the shared counts is cleared once the thread has ended, and another is started in its place: it gets the program in
// force first and listening sockets after it, so it never answers out of nothing. The others do not notice.

import type { Worker } from "node:worker_threads";
import {
  assertNever,
  type Backoff,
  type Clock,
  createBackoff,
  type Log,
  messageOf,
  type Random,
  type Timer,
} from "../base/index.ts";
import type { FromWorker, ListenerOffer, Program, ToWorker, WorkerReport } from "../dataplane/index.ts";

/** Four missed beats (DESIGN §2). */
const SILENCE_MS = 2_000;
/** Compiling and instantiating, on a machine that is busy starting everything else too. */
const START_MS = 20_000;
const WATCH_MS = 250;
/** "Started again within a second" (DESIGN §2), the thread's own start included. */
const RESTART_BASE_MS = 20;
const RESTART_MAX_MS = 800;
/** When a worker could not be given its listening sockets. */
const OFFER_AGAIN_MS = 500;
/** For a worker to reset its TCP connections: one message; what has not is ended as it stands. */
const RESET_MS = 500;
/** A worker that lived this long did not die of how it starts. */
const STABLE_MS = 10_000;

/** How a worker's thread is made; `data` is its workerData. */
export type StartThread = (worker: number) => Worker;

export interface SupervisorOptions {
  readonly workers: number;
  readonly startThread: StartThread;
  /** Clears a dead worker's columns of the shared memory. */
  readonly clearWorker: (worker: number) => void;
  /** Fresh duplicates of every listening socket that is open now. */
  readonly offerListeners: () => readonly ListenerOffer[];
  readonly takeLogs: (batch: Uint8Array) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface Seat {
  readonly worker: number;
  readonly backoff: Backoff;
  thread: Worker | undefined;
  phase: "starting" | "up" | "gone";
  isListening: boolean;
  isDrained: boolean;
  isTcpReset: boolean;
  /** Sequence of the program that is in force there. */
  applied: number;
  startedMs: number;
  heardMs: number;
  report: WorkerReport | undefined;
  pause: Timer | undefined;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #seats: Seat[] = [];
  /** Called whenever a seat's state has changed; each tells whether it is done. */
  readonly #waiting = new Set<() => boolean>();
  #program: Program | undefined;
  #watch: Timer | undefined;
  #watchedMs = 0;
  #restarts = 0;
  #isStopping = false;
  #isAccessLogOn = false;
  #isDraining = false;
  /** What workers that are gone have counted: counters never go back. */
  readonly #pastGlitches: number[] = [];
  readonly #pastShed: number[] = [];
  #pastLogDrops = 0;
  #pastAcceptFailures = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Workers that were started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Workers that run and accept. */
  get listeningCount(): number {
    return this.#seats.filter((seat) => seat.isListening).length;
  }

  /** Latest reports of the workers that are up. */
  get reports(): readonly WorkerReport[] {
    return this.#seats.flatMap((seat) => (seat.report === undefined ? [] : [seat.report]));
  }

  /** By GLITCH_*, over all workers that ever ran. */
  get glitches(): readonly number[] {
    const sums = [...this.#pastGlitches];
    for (const { glitches } of this.reports) addEach(sums, glitches);
    return sums;
  }

  /** Connections that were asked to go elsewhere, by PROTOCOL_*, over all workers that ever ran. */
  get shed(): readonly number[] {
    const sums = [...this.#pastShed];
    for (const { shed } of this.reports) addEach(sums, shed);
    return sums;
  }

  get logDrops(): number {
    return this.reports.reduce((sum, report) => sum + report.logDrops, this.#pastLogDrops);
  }

  get acceptFailures(): number {
    return this.reports.reduce((sum, report) => sum + report.acceptFailures, this.#pastAcceptFailures);
  }

  /** Starts every worker; resolves when all have instantiated their engine. */
  start(isAccessLogOn: boolean): Promise<void> {
    const { workers, clock, random } = this.#options;
    this.#isAccessLogOn = isAccessLogOn;
    for (let worker = 0; worker < workers; worker += 1) {
      const backoff = createBackoff({ baseMs: RESTART_BASE_MS, maxMs: RESTART_MAX_MS, random });
      const seat: Seat = {
        worker,
        backoff,
        thread: undefined,
        phase: "gone",
        isListening: false,
        isDrained: false,
        isTcpReset: false,
        applied: 0,
        startedMs: 0,
        heardMs: 0,
        report: undefined,
        pause: undefined,
      };
      this.#seats.push(seat);
      this.#startSeat(seat);
    }
    this.#watchedMs = clock.nowMs();
    this.#watch = clock.every(WATCH_MS, () => this.#look());
    return this.#until(() => this.#seats.every((seat) => seat.phase === "up"));
  }

  /** Puts a program in force everywhere; resolves when every live worker has said so; the dead get it as they start. */
  publish(program: Program): Promise<void> {
    this.#program = program;
    for (const seat of this.#seats) if (seat.phase === "up") this.#tell(seat, { type: "program", program });
    return this.#until(() => this.#seats.every((seat) => seat.phase !== "up" || seat.applied >= program.sequence));
  }

  /** Offers the listening sockets to every worker; resolves when all accept from them. */
  listen(): Promise<void> {
    for (const seat of this.#seats) if (seat.phase === "up") this.#offer(seat);
    return this.#until(() => this.#seats.every((seat) => seat.phase !== "up" || seat.isListening));
  }

  /** Says the same to every worker. */
  tellAll(message: ToWorker): void {
    for (const seat of this.#seats) if (seat.phase === "up") this.#tell(seat, message);
  }

  /** Says something to one worker; for tests. */
  tell(worker: number, message: ToWorker): void {
    const seat = this.#seats[worker];
    if (seat !== undefined) this.#tell(seat, message);
  }

  /** Takes nothing new; resolves when no worker has an exchange under way. */
  drain(): Promise<void> {
    this.#isDraining = true;
    this.tellAll({ type: "drain" });
    return this.#until(() => this.#seats.every((seat) => seat.phase === "gone" || seat.isDrained));
  }

  /** Resets what TCP connections there are; a FIN would say that they are complete. Resolves when that was done. */
  resetTcp(): Promise<unknown> {
    this.tellAll({ type: "resetTcp" });
    const done = this.#until(() => this.#seats.every((seat) => seat.phase !== "up" || seat.isTcpReset));
    return Promise.race([done, this.#options.clock.sleep(RESET_MS)]);
  }

  /** Ends every worker at once. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#watch?.cancel();
    const threads = this.#seats.map((seat) => {
      seat.pause?.cancel();
      return seat.thread?.terminate();
    });
    await Promise.all(threads);
  }

  #startSeat(seat: Seat): void {
    const { clock, startThread } = this.#options;
    seat.phase = "starting";
    seat.startedMs = clock.nowMs();
    seat.heardMs = seat.startedMs;
    let problem = "it exited";
    let thread: Worker;
    try {
      thread = startThread(seat.worker);
    } catch (error) {
      // No thread can be made (memory, a limit on threads); the pause before the next try grows.
      this.#ended(seat, messageOf(error));
      return;
    }
    seat.thread = thread;
    thread.on("message", (message: FromWorker) => this.#hear(seat, message));
    thread.on("error", (error: unknown) => {
      problem = messageOf(error);
    });
    thread.on("exit", () => this.#ended(seat, problem));
  }

  #hear(seat: Seat, message: FromWorker): void {
    seat.heardMs = this.#options.clock.nowMs();
    switch (message.type) {
      case "started":
        seat.phase = "up";
        this.#noteDriver(seat, message.driver, message.problem);
        this.#tell(seat, { type: "accessLog", isOn: this.#isAccessLogOn });
        if (this.#program !== undefined) this.#tell(seat, { type: "program", program: this.#program });
        // Messages keep their order: the program is in force before the first accept.
        if (this.#isDraining) this.#tell(seat, { type: "drain" });
        else this.#offer(seat);
        break;
      case "listening":
        seat.isListening = message.count > 0;
        break;
      case "applied":
        seat.applied = message.sequence;
        if (message.problem !== 0) this.#refused(message.problem, message.sequence);
        break;
      case "beat":
        seat.report = message.report;
        break;
      case "logs":
        this.#tell(seat, { type: "logTaken", bytes: message.bytes.length });
        this.#options.takeLogs(message.bytes);
        return;
      case "acceptFailed":
        this.#options.log.warn({ worker: seat.worker, problem: message.problem }, "a connection could not be accepted");
        return;
      case "tcpReset":
        seat.isTcpReset = true;
        break;
      case "drained":
        seat.isDrained = true;
        break;
      default:
        assertNever(message);
    }
    this.#changed();
  }

  #noteDriver({ worker }: Seat, driver: string, problem: string | undefined): void {
    if (problem === undefined) this.#options.log.debug({ worker, driver }, "a worker has started");
    else this.#options.log.warn({ worker, driver, problem }, "sockets are served in another way than was wished");
  }

  #refused(problem: number, sequence: number): void {
    const fields = { problem, sequence };
    this.#options.log.error(fields, "an engine refused the compiled snapshot; the former one stays in force");
  }

  #offer(seat: Seat): void {
    const { offerListeners, clock, log } = this.#options;
    try {
      const listeners = offerListeners();
      if (listeners.length > 0) this.#tell(seat, { type: "listen", listeners });
    } catch (error) {
      // Out of descriptors: connections that end give some back.
      log.error({ error, worker: seat.worker }, messageOf(error));
      clock.after(OFFER_AGAIN_MS, () => {
        if (seat.phase === "up" && !seat.isListening) this.#offer(seat);
      });
    }
  }

  #tell(seat: Seat, message: ToWorker): void {
    seat.thread?.postMessage(message);
  }

  /** The thread has ended, whatever the cause: clear up after it and start another. */
  #ended(seat: Seat, problem: string): void {
    const { clock, log, clearWorker } = this.#options;
    seat.phase = "gone";
    seat.isListening = false;
    seat.isDrained = false;
    seat.applied = 0;
    seat.thread = undefined;
    if (seat.report !== undefined) {
      addEach(this.#pastGlitches, seat.report.glitches);
      addEach(this.#pastShed, seat.report.shed);
      this.#pastLogDrops += seat.report.logDrops;
      this.#pastAcceptFailures += seat.report.acceptFailures;
      seat.report = undefined;
    }
    clearWorker(seat.worker);
    this.#changed();
    if (this.#isStopping) return;
    this.#restarts += 1;
    if (clock.nowMs() - seat.startedMs >= STABLE_MS) seat.backoff.reset();
    const pauseMs = seat.backoff.nextMs();
    log.error({ worker: seat.worker, problem, pauseMs: Math.round(pauseMs) }, "a worker ended; it is started again");
    seat.pause = clock.after(pauseMs, () => this.#startSeat(seat));
  }

  /** Ends workers that have not been heard of. */
  #look(): void {
    const { clock, log } = this.#options;
    const nowMs = clock.nowMs();
    // This thread itself was stopped (SIGSTOP, a suspended laptop, a stall): the silence is ours, not theirs.
    const isOwnSilence = nowMs - this.#watchedMs > SILENCE_MS / 2;
    this.#watchedMs = nowMs;
    for (const seat of this.#seats) {
      if (isOwnSilence) seat.heardMs = nowMs;
      if (seat.phase === "gone" || seat.thread === undefined) continue;
      if (nowMs - seat.heardMs <= (seat.phase === "up" ? SILENCE_MS : START_MS)) continue;
      log.error({ worker: seat.worker, silentMs: Math.round(nowMs - seat.heardMs) }, "a worker hangs; it is ended");
      seat.heardMs = nowMs;
      void seat.thread.terminate();
    }
  }

  #changed(): void {
    for (const check of this.#waiting) if (check()) this.#waiting.delete(check);
  }

  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!condition()) return false;
        resolve();
        return true;
      };
      if (!check()) this.#waiting.add(check);
    });
  }
}

function addEach(sums: number[], values: readonly number[]): void {
  values.forEach((value, index) => {
    sums[index] = (sums[index] ?? 0) + value;
  });
}
