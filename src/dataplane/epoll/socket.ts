// What is done with a socket once in its life: made and connected, asked what went wrong, made to close with a reset.

import { Socket, type SocketConstructorOpts } from "node:net";
import { SOCKET_RESET } from "../../../assembly/abi/engine-records.ts";
import { failureOfErrno } from "../failure.ts";
import { SocketAddress } from "./addresses.ts";
import {
  EINPROGRESS,
  F_DUPFD_CLOEXEC,
  IPPROTO_TCP,
  type Kernel,
  SO_ERROR,
  SO_LINGER,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_NODELAY,
} from "./system-calls.ts";

const INT_BYTES = 4;
/** struct linger: on or off, seconds. */
const LINGER_BYTES = 8;

/** A descriptor that is connecting, or what went wrong at once. */
export type Connecting = { readonly descriptor: number } | { readonly failure: number };

export function startConnecting(kernel: Kernel, address: SocketAddress, ip: string, port: number): Connecting {
  const { calls } = kernel;
  const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const descriptor = calls.socket(SocketAddress.familyOf(ip), type, 0);
  if (descriptor < 0) return { failure: failureOfErrno(kernel.errno()) };
  enableNoDelay(kernel, address, descriptor);
  const length = address.write(ip, port);
  if (calls.connect(descriptor, address.address, length) === 0) return { descriptor };
  const errno = kernel.errno();
  if (errno === EINPROGRESS) return { descriptor };
  calls.close(descriptor);
  return { failure: failureOfErrno(errno) };
}

/** Takes a socket out of Node: a duplicate is ours, Node closes its own without a word. Below zero: full. */
export function takeDescriptor(kernel: Kernel, socket: Socket): number {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const descriptor = kernel.calls.fcntl(fd, F_DUPFD_CLOEXEC, 0);
  socket.destroy();
  return descriptor;
}

/** Gives an accepted socket to Node, which reads it when it is resumed. */
export function giveDescriptor(descriptor: number): Socket {
  // As net.Server makes its sockets (`pauseOnConnect`); Node's types do not know that option.
  const options = { fd: descriptor, allowHalfOpen: true, pauseOnCreate: true, readable: true, writable: true };
  return new Socket(options as SocketConstructorOpts);
}

/** Nagle's algorithm off; what a listening socket accepts inherits it. */
export function enableNoDelay(kernel: Kernel, room: SocketAddress, descriptor: number): void {
  room.writeNumber(1);
  kernel.calls.setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, room.address, INT_BYTES);
}

/** Closing it resets the connection (man 7 socket, SO_LINGER with a time of 0). */
export function resetOnClose(kernel: Kernel, room: SocketAddress, descriptor: number): void {
  room.writeNumber(1, 0);
  kernel.calls.setsockopt(descriptor, SOL_SOCKET, SO_LINGER, room.address, LINGER_BYTES);
}

/** SOCKET_* of the error that the kernel keeps for the socket; asking clears it. */
export function pendingFailure(kernel: Kernel, room: SocketAddress, descriptor: number): number {
  room.clear();
  kernel.calls.getsockopt(descriptor, SOL_SOCKET, SO_ERROR, room.address, room.lengthAddress);
  const errno = room.readNumber();
  return errno === 0 ? SOCKET_RESET : failureOfErrno(errno);
}
