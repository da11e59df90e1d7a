// What a struck server does. `execute` is where a request takes effect: a POST that gets there twice was duplicated.
//
// A health check (id 0) meets the same act as any request: whoever asks for health learns what callers learn.

import type { Conversation, Request } from "./conversation.ts";

/** The server as its acts see it. */
export interface Stage {
  readonly conversations: ReadonlySet<Conversation>;
  /** Milliseconds since the act began. */
  elapsedMs(): number;
  execute(request: Request): void;
  /** Runs later, unless the server was reset meanwhile. */
  after(ms: number, step: () => void): void;
  /** Closes the listeners, or opens them again. */
  setListening(isListening: boolean): void;
}

export interface Act {
  /** It begins. */
  begin?(stage: Stage): void;
  /** A connection was accepted; true when the act wants nothing read from it. */
  accept?(conversation: Conversation, stage: Stage): void;
  serve(request: Request, stage: Stage): void;
}

const REFUSED_STREAM = 7;
const INTERNAL_ERROR = 2;
const STREAM_ID_MAX = 0x7fffffff;
const SLOW_FACTOR = 16;
const FLAP_MS = 2_000;
const DOWN_MS = 700;
const COLD_MS = 3_000;
const COLD_FACTOR = 40;
const BURST_EVERY_MS = 1_500;
const BURST_MS = 500;
/** Streams of a connection between two GOAWAYs. */
const GOAWAY_EVERY = 40;
const LOOK_MS = 20;

/** What a request takes: 2 to 8 ms. */
function workMs(): number {
  return 2 + 6 * Math.random();
}

function serveWell(request: Request, stage: Stage, factor = 1): void {
  stage.after(workMs() * factor, () => {
    if (request.conversation.socket.destroyed) return;
    stage.execute(request);
    request.answer();
  });
}

/** Closes what has been idle for as long as `limitMs` says of a connection. */
function closeIdle(limitMs: (conversation: Conversation) => number): Act {
  const look = (stage: Stage): void => {
    for (const conversation of stage.conversations) {
      const { idleSinceMs } = conversation;
      if (idleSinceMs !== undefined && performance.now() - idleSinceMs > limitMs(conversation)) conversation.leave();
    }
    stage.after(LOOK_MS, () => look(stage));
  };
  return { begin: look, serve: serveWell };
}

const randomLimits = new WeakMap<Conversation, number>();

function randomLimitMs(conversation: Conversation): number {
  const limit = randomLimits.get(conversation) ?? 20 + 1_500 * Math.random();
  randomLimits.set(conversation, limit);
  return limit;
}

/** Every so many streams `end` does something to the connection instead of serving. */
function atTimes(end: (request: Request, stage: Stage) => void): Act {
  return {
    serve(request, stage) {
      if (request.conversation.read % GOAWAY_EVERY === 0) end(request, stage);
      else serveWell(request, stage);
    },
  };
}

function dropAll(stage: Stage): void {
  for (const { socket } of stage.conversations) socket.resetAndDestroy();
}

function flap(stage: Stage): void {
  stage.setListening(false);
  dropAll(stage);
  stage.after(FLAP_MS, () => {
    stage.setListening(true);
    stage.after(FLAP_MS, () => flap(stage));
  });
}

/** As a polite app does: no new connections, what is under way is answered, then it is gone for a while. */
function restart(stage: Stage): void {
  stage.setListening(false);
  for (const conversation of stage.conversations) conversation.leave();
  stage.after(DOWN_MS, () => {
    dropAll(stage);
    stage.setListening(true);
  });
}

function isInBurst(stage: Stage): boolean {
  return stage.elapsedMs() % BURST_EVERY_MS < BURST_MS;
}

/** One request in three is given to `end`. */
function oneInThree(end: (request: Request, stage: Stage) => void): Act {
  return {
    serve(request, stage) {
      if (request.conversation.read % 3 === 0) end(request, stage);
      else serveWell(request, stage);
    },
  };
}

const closeAfter: Act = {
  serve(request, stage) {
    stage.after(workMs(), () => {
      stage.execute(request);
      request.answer();
      request.conversation.socket.end();
    });
  },
};

export const ACTS: Readonly<Record<string, Act>> = {
  none: { serve: serveWell },
  slow: { serve: (request, stage) => serveWell(request, stage, SLOW_FACTOR) },
  silent: { serve: () => {} },
  stall: {
    serve(request, stage) {
      stage.execute(request);
      request.answerPart(0);
    },
  },
  "reset-accept": { begin: dropAll, accept: ({ socket }) => socket.resetAndDestroy(), serve: () => {} },
  "reset-request": {
    serve(request, stage) {
      stage.execute(request);
      request.conversation.socket.resetAndDestroy();
    },
  },
  "reset-body": {
    serve(request, stage) {
      stage.execute(request);
      request.answerPart(50);
      stage.after(2, () => request.conversation.socket.resetAndDestroy());
    },
  },
  refuse: {
    begin(stage) {
      stage.setListening(false);
      dropAll(stage);
    },
    serve: () => {},
  },
  "idle-1s": closeIdle(() => 1_000),
  "idle-random": closeIdle(randomLimitMs),
  "close-after": closeAfter,
  "goaway-low": atTimes(({ conversation, stream }, stage) => {
    // Those of the last streams that are under way were not looked at.
    conversation.goaway(Math.max(0, stream - 2));
    stage.after(50, () => conversation.socket.end());
  }),
  "goaway-on": atTimes((request, stage) => {
    request.conversation.goaway(STREAM_ID_MAX);
    serveWell(request, stage);
    stage.after(500, () => request.conversation.leave());
  }),
  "goaway-lies": atTimes(({ conversation }) => {
    conversation.goaway(STREAM_ID_MAX);
    conversation.socket.end();
  }),
  "goaway-denies": atTimes((request, stage) => {
    stage.execute(request);
    request.conversation.goaway(0);
    request.conversation.socket.end();
  }),
  refused: oneInThree((request) => request.resetStream(REFUSED_STREAM)),
  internal: oneInThree((request, stage) => {
    stage.execute(request);
    request.resetStream(INTERNAL_ERROR);
  }),
  "streams-1": {
    begin: ({ conversations }) => {
      for (const conversation of conversations) conversation.limitStreams(1);
    },
    accept: (conversation) => conversation.limitStreams(1),
    serve: serveWell,
  },
  "503": { serve: (request) => request.answer(503) },
  "503-bursts": {
    serve: (request, stage) => (isInBurst(stage) ? request.answer(503) : serveWell(request, stage)),
  },
  flap: { begin: flap, serve: serveWell },
  restart: { begin: restart, serve: serveWell },
  cold: {
    begin: restart,
    serve: (request, stage) => {
      const warmth = Math.min(1, Math.max(0, stage.elapsedMs() - DOWN_MS) / COLD_MS);
      serveWell(request, stage, 1 + (COLD_FACTOR - 1) * (1 - warmth));
    },
  },
  garbage: {
    serve(request, stage) {
      stage.execute(request);
      request.conversation.socket.write(Buffer.from(Array.from({ length: 300 }, (_, index) => (index * 37) & 255)));
      stage.after(20, () => request.conversation.socket.destroy());
    },
  },
  length: {
    serve(request, stage) {
      stage.execute(request);
      request.answerShort();
    },
  },
};
