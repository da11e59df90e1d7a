// What went wrong with a socket, in the five kinds that the engine tells apart.
//
// The engine decides by them whether a request was certainly not seen (refused, unreachable, timeout while connecting)
// or may have been (reset). Total: an unknown code is SOCKET_CLOSED, which promises nothing.

import { getSystemErrorName } from "node:util";
import {
  SOCKET_CLOSED,
  SOCKET_REFUSED,
  SOCKET_RESET,
  SOCKET_TIMEOUT,
  SOCKET_UNREACHABLE,
} from "../../assembly/abi/engine-records.ts";

/** errno names as Node reports them: connect(2), read(2), write(2), getaddrinfo(3). */
const FAILURES: Readonly<Record<string, number>> = {
  ECONNREFUSED: SOCKET_REFUSED,
  // A unix socket's file, or a listener, that is not there.
  ENOENT: SOCKET_REFUSED,
  ECONNRESET: SOCKET_RESET,
  EPIPE: SOCKET_RESET,
  ECONNABORTED: SOCKET_RESET,
  ETIMEDOUT: SOCKET_TIMEOUT,
  EHOSTUNREACH: SOCKET_UNREACHABLE,
  ENETUNREACH: SOCKET_UNREACHABLE,
  EHOSTDOWN: SOCKET_UNREACHABLE,
  ENETDOWN: SOCKET_UNREACHABLE,
  EADDRNOTAVAIL: SOCKET_UNREACHABLE,
  EAFNOSUPPORT: SOCKET_UNREACHABLE,
  EINVAL: SOCKET_UNREACHABLE,
  EACCES: SOCKET_UNREACHABLE,
  EPERM: SOCKET_UNREACHABLE,
  // Our own descriptors or memory are used up: nothing was sent.
  EMFILE: SOCKET_UNREACHABLE,
  ENFILE: SOCKET_UNREACHABLE,
  ENOBUFS: SOCKET_UNREACHABLE,
  ENOMEM: SOCKET_UNREACHABLE,
  ENOTFOUND: SOCKET_UNREACHABLE,
  EAI_AGAIN: SOCKET_UNREACHABLE,
  EAI_FAIL: SOCKET_UNREACHABLE,
};

/** The SOCKET_* of an errno(3) as the kernel has it. */
export function failureOfErrno(errno: number): number {
  return FAILURES[getSystemErrorName(-errno)] ?? SOCKET_CLOSED;
}

/** The SOCKET_* of a socket's error. */
export function failureOf(error: NodeJS.ErrnoException): number {
  return FAILURES[error.code ?? ""] ?? SOCKET_CLOSED;
}
