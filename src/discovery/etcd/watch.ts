// One watch stream with several ranges, until it ends, and why it ended.
//
// Rule 1: a range continues after the last event that it saw, never after a revision that a header names: the header of
//         `created` carries the store's newest revision, and what lies between would be lost (reliability.md E1).
// Rule 2: a response in fragments is one response.
// Rule 3: silence is not health. A question every ten seconds must be answered; a stream from which nothing came for 25
//         is given up, whatever TCP thinks of it (E2).
// Rule 4: whatever etcd or grpc-js does is an end with a reason, not an exception out of an event handler (E3, E4).

import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import type { IEvent, IWatchRequest, IWatchResponse } from "etcd3";
import { type Clock, messageOf, type Timer } from "../../base/index.ts";
import { type KeyEvent, RevisionJoiner } from "./revisions.ts";
import { CALL_MS, type Session } from "./session.ts";

/** What is watched: keys from `start` up to, and without, `end`. */
export interface WatchRange {
  readonly start: Buffer;
  readonly end: Buffer;
  /** The next revision that is not known yet. */
  nextRevision: number;
}

export type WatchEnd =
  /** etcd has thrown away what lies between: list again. */
  | { readonly kind: "compacted"; readonly oldest: number }
  | { readonly kind: "lost"; readonly problem: string }
  | { readonly kind: "stopped"; readonly problem: string };

export interface WatchTiming {
  /** Between two questions while nothing happens. */
  readonly progressMs: number;
  /** Without any response: the stream is dead. */
  readonly silenceMs: number;
  /** How long a revision waits for the rest of itself. */
  readonly joinMs: number;
}

/** reliability.md E2; 50 ms is many round trips in a cluster's network and nothing to a person. */
export const WATCH_TIMING: WatchTiming = { progressMs: 10_000, silenceMs: 25_000, joinMs: 50 };

export interface WatchOptions {
  readonly session: Session;
  readonly clock: Clock;
  readonly timing: WatchTiming;
  /** Whole revisions, in order. */
  readonly onEvents: (events: readonly KeyEvent[]) => void;
  /** Every range that was there at the beginning is being watched. */
  readonly onReady: () => void;
}

export interface WatchStream {
  /** Watches one range more. */
  add(range: WatchRange): void;
  stop(problem: string): void;
  /** Resolves when the stream has ended, after the last `onEvents`. */
  readonly ended: Promise<WatchEnd>;
}

/** The watch id of a progress notice for the whole stream. */
const NOTICE_ID = "-1";

/** Opens a stream for `ranges`. */
export async function openWatch(options: WatchOptions, ranges: readonly WatchRange[]): Promise<WatchStream> {
  return new RangeWatcher(options, ranges, await options.session.openWatch());
}

interface Watcher {
  readonly range: WatchRange;
  /** Events of a response whose last fragment has not come. */
  fragments: IEvent[];
}

class RangeWatcher implements WatchStream {
  readonly ended: Promise<WatchEnd>;
  readonly #options: WatchOptions;
  readonly #stream: ClientDuplexStream<IWatchRequest, IWatchResponse>;
  readonly #end: (end: WatchEnd) => void;
  readonly #watchers = new Map<string, Watcher>();
  readonly #unconfirmed = new Set<string>();
  readonly #joiner = new RevisionJoiner();
  readonly #heartbeat: Timer;
  readonly #readyTimer: Timer;
  #joinTimer: Timer | undefined;
  #lastHeardMs: number;
  #nextId = 1;
  /** Questions that were not answered yet, and how many of their answers come before the one we wait for. */
  #noticesDue = 0;
  #noticesToSkip = 0;
  #isReady = false;
  #isEnded = false;

  constructor(
    options: WatchOptions,
    ranges: readonly WatchRange[],
    stream: ClientDuplexStream<IWatchRequest, IWatchResponse>,
  ) {
    const { promise, resolve } = Promise.withResolvers<WatchEnd>();
    this.ended = promise;
    this.#end = resolve;
    this.#options = options;
    this.#stream = stream;
    this.#lastHeardMs = options.clock.nowMs();
    this.#heartbeat = options.clock.every(options.timing.progressMs, () => this.#checkSilence());
    stream.on("data", (response) => this.#receive(response));
    stream.on("error", (error: ServiceError) =>
      this.#finish({ kind: "lost", problem: error.details || error.message }),
    );
    stream.on("end", () => this.#finish({ kind: "lost", problem: "the watch was closed by etcd" }));
    for (const range of ranges) this.add(range);
    this.#readyTimer = options.clock.after(CALL_MS, () => {
      this.#finish({ kind: "lost", problem: `the watch did not begin within ${CALL_MS / 1000} s` });
    });
  }

  add(range: WatchRange): void {
    if (this.#isEnded) return;
    const id = String(this.#nextId);
    this.#nextId += 1;
    this.#watchers.set(id, { range, fragments: [] });
    this.#unconfirmed.add(id);
    this.#stream.write({
      create_request: {
        key: range.start,
        range_end: range.end,
        start_revision: range.nextRevision,
        watch_id: id,
        fragment: true,
      },
    });
  }

  stop(problem: string): void {
    this.#finish({ kind: "stopped", problem });
  }

  #receive(response: IWatchResponse): void {
    if (this.#isEnded) return;
    this.#lastHeardMs = this.#options.clock.nowMs();
    try {
      this.#handle(response);
    } catch (error) {
      this.#finish({ kind: "lost", problem: `a watch response could not be taken in: ${messageOf(error)}` });
    }
  }

  #handle(response: IWatchResponse): void {
    const oldest = Number(response.compact_revision);
    const watcher = this.#watchers.get(response.watch_id);
    if (oldest > 0) {
      this.#finish({ kind: "compacted", oldest });
    } else if (response.canceled) {
      this.#finish({ kind: "lost", problem: response.cancel_reason || "etcd cancelled the watch" });
    } else if (response.watch_id === NOTICE_ID && response.events.length === 0) {
      this.#handleNotice();
    } else if (watcher === undefined) {
      this.#finish({ kind: "lost", problem: `etcd answered for the unknown watch ${response.watch_id}` });
    } else if (response.created) {
      this.#confirm(response.watch_id);
    } else {
      this.#handleEvents(watcher, response);
    }
  }

  #handleEvents(watcher: Watcher, response: IWatchResponse): void {
    watcher.fragments.push(...response.events);
    if (response.fragment || watcher.fragments.length === 0) return;
    const events = watcher.fragments.map(readEvent);
    watcher.fragments = [];
    watcher.range.nextRevision = Math.max(watcher.range.nextRevision, ...events.map(({ revision }) => revision + 1));
    if (this.#joiner.receive(events)) this.#ask();
  }

  #confirm(id: string): void {
    this.#unconfirmed.delete(id);
    if (this.#unconfirmed.size > 0 || this.#isReady) return;
    this.#isReady = true;
    this.#readyTimer.cancel();
    this.#options.onReady();
  }

  /** Asks for a progress notice, and does not wait for it for ever. */
  #ask(): void {
    // Answers to earlier questions are still on their way, and say nothing about this one.
    this.#noticesToSkip = this.#noticesDue;
    this.#requestNotice();
    this.#joinTimer?.cancel();
    this.#joinTimer = this.#options.clock.after(this.#options.timing.joinMs, () => {
      // A server may drop questions while it catches up; then there is nothing to wait for.
      this.#noticesDue = 0;
      this.#release();
    });
  }

  #requestNotice(): void {
    this.#noticesDue += 1;
    this.#stream.write({ progress_request: {} });
  }

  #handleNotice(): void {
    this.#noticesDue = Math.max(0, this.#noticesDue - 1);
    if (this.#noticesToSkip > 0) this.#noticesToSkip -= 1;
    else this.#release();
  }

  #release(): void {
    this.#joinTimer?.cancel();
    const { events, shouldAsk } = this.#joiner.release();
    if (shouldAsk) this.#ask();
    if (events.length > 0) this.#options.onEvents(events);
  }

  #checkSilence(): void {
    if (this.#isEnded) return;
    const silentMs = this.#options.clock.nowMs() - this.#lastHeardMs;
    if (silentMs <= this.#options.timing.silenceMs) this.#requestNotice();
    else this.#finish({ kind: "lost", problem: `etcd was silent for ${Math.round(silentMs / 1000)} s` });
  }

  #finish(end: WatchEnd): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#heartbeat.cancel();
    this.#readyTimer.cancel();
    this.#joinTimer?.cancel();
    // What is held has moved `nextRevision` on already, so it must not be dropped with the stream.
    const events = this.#joiner.flush();
    if (events.length > 0) this.#options.onEvents(events);
    this.#stream.cancel();
    this.#end(end);
  }
}

function readEvent({ type, kv }: IEvent): KeyEvent {
  const isDeleted = String(type) === "Delete";
  return { key: kv.key.toString(), revision: Number(kv.mod_revision), pair: isDeleted ? undefined : kv };
}
