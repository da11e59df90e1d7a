// What acts say to whoever calls, in either version: one request, and the connection that it came on.

import type { Socket } from "node:net";

/** Bytes of each whole answer's body; it begins with the request's id, so that a mixed-up answer is noticed. */
export const BODY_BYTES = 100;

export function bodyOf(id: number): string {
  return `${id} `.padEnd(BODY_BYTES, "x");
}

/** A connection of a caller. */
export interface Conversation {
  readonly socket: Socket;
  /** Requests that were read. */
  read: number;
  /** When it last had nothing to do, ms; undefined while it has. */
  idleSinceMs: number | undefined;
  /** HTTP/2: GOAWAY with no error; HTTP/1.1 has no such thing. */
  goaway(last: number): void;
  /** HTTP/2: changes MAX_CONCURRENT_STREAMS. */
  limitStreams(max: number): void;
  /** Ends it as its protocol would have it, once what is under way is answered. */
  leave(): void;
}

export interface Request {
  readonly conversation: Conversation;
  readonly method: string;
  /** Number of the request in its path; 0 for a health check. */
  readonly id: number;
  /** HTTP/2: the stream's number. */
  readonly stream: number;
  answer(status?: number): void;
  /** The head of an answer, and so many bytes of its body. */
  answerPart(bytes: number): void;
  /** An answer whose content-length promises more than comes. */
  answerShort(): void;
  /** HTTP/2: RST_STREAM; HTTP/1.1: nothing. */
  resetStream(code: number): void;
}

export type Serve = (request: Request) => void;
