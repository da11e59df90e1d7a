// The kernel's socket calls through node:ffi, and errno.
//
// A call of at most three arguments costs about 0.1 µs above the system call itself, one of more arguments 0.3 µs (Node
// checks them one by one): so what is done for every request is read(2), writev(2) and nothing else. They raise no
// SIGPIPE, because Node ignores that signal. Lengths fit 31 bits, so results are read as i32.
//
// Structures and flags are those of Linux on x86-64 and arm64, which differ in one thing: see poller.ts.

import { getSystemErrorMessage, getSystemErrorName } from "node:util";

/** Addresses are BigInts. A result below zero means failure: see `errno`. */
export interface SystemCalls {
  read(descriptor: number, address: bigint, bytes: bigint): number;
  writev(descriptor: number, vectors: bigint, count: number): number;
  socket(domain: number, type: number, protocol: number): number;
  connect(descriptor: number, address: bigint, bytes: number): number;
  accept4(descriptor: number, address: bigint, bytesAddress: bigint, flags: number): number;
  shutdown(descriptor: number, how: number): number;
  close(descriptor: number): number;
  fcntl(descriptor: number, command: number, argument: number): number;
  setsockopt(descriptor: number, level: number, option: number, address: bigint, bytes: number): number;
  getsockopt(descriptor: number, level: number, option: number, address: bigint, bytesAddress: bigint): number;
  epoll_create1(flags: number): number;
  epoll_ctl(descriptor: number, operation: number, other: number, event: bigint): number;
  epoll_wait(descriptor: number, events: bigint, count: number, timeoutMs: number): number;
  /** libuv's: text of an IP address, with a zone for IPv6, into a sockaddr. */
  uv_ip4_addr(text: bigint, port: number, address: bigint): number;
  uv_ip6_addr(text: bigint, port: number, address: bigint): number;
  uv_ip_name(address: bigint, text: bigint, bytes: bigint): number;
  uv_backend_fd(loop: bigint): number;
  uv_backend_timeout(loop: bigint): number;
  uv_update_time(loop: bigint): void;
  uv_metrics_info(loop: bigint, metrics: bigint): number;
}

export const EINTR = 4;
export const EAGAIN = 11;
export const ECONNABORTED = 103;
export const EINPROGRESS = 115;

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_LINGER = 13;
export const IPPROTO_TCP = 6;
export const TCP_NODELAY = 1;
export const SHUT_WR = 1;
/** F_LINUX_SPECIFIC_BASE + 6. */
export const F_DUPFD_CLOEXEC = 1030;

const I = "i32";
const P = "u64";
const SIGNATURES = {
  read: { arguments: [I, P, P], return: I },
  writev: { arguments: [I, P, I], return: I },
  socket: { arguments: [I, I, I], return: I },
  connect: { arguments: [I, P, I], return: I },
  accept4: { arguments: [I, P, P, I], return: I },
  shutdown: { arguments: [I, I], return: I },
  close: { arguments: [I], return: I },
  fcntl: { arguments: [I, I, I], return: I },
  setsockopt: { arguments: [I, I, I, P, I], return: I },
  getsockopt: { arguments: [I, I, I, P, P], return: I },
  epoll_create1: { arguments: [I], return: I },
  epoll_ctl: { arguments: [I, I, I, P], return: I },
  epoll_wait: { arguments: [I, P, I, I], return: I },
  uv_ip4_addr: { arguments: [P, I, P], return: I },
  uv_ip6_addr: { arguments: [P, I, P], return: I },
  uv_ip_name: { arguments: [P, P, P], return: I },
  uv_backend_fd: { arguments: [P], return: I },
  uv_backend_timeout: { arguments: [P], return: I },
  uv_update_time: { arguments: [P], return: "void" },
  uv_metrics_info: { arguments: [P, P], return: I },
} as const;

/** The kernel as this thread calls it. */
export interface Kernel {
  readonly calls: SystemCalls;
  /** This thread's errno; holds until its next call. */
  errno(): number;
  /** "EMFILE: too many open files". */
  describe(errno: number): string;
  /** Where a buffer lies. It stays there as long as the buffer lives. */
  addressOf(buffer: ArrayBufferLike | ArrayBufferView): bigint;
  /** This thread's uv_loop_t. */
  readonly loop: bigint;
}

/** Binds the calls; throws, saying why, where this Node or this system cannot. */
export function loadKernel(): Kernel {
  if (process.platform !== "linux") throw new Error(`epoll is Linux's, this is ${process.platform}`);
  if (process.arch !== "x64" && process.arch !== "arm64") throw new Error(`not made for ${process.arch}`);
  const ffi = loadFfi();
  // The C library that Node itself is linked with, and libuv, which is a part of Node.
  const library = new ffi.DynamicLibrary(null);
  const functions = library.getFunctions({ ...SIGNATURES, __errno_location: { arguments: [], return: P } });
  const errnoAddress = functions.__errno_location!() as bigint;
  const errnoView = new Int32Array(ffi.toArrayBuffer(errnoAddress, Int32Array.BYTES_PER_ELEMENT, false));
  return {
    calls: functions as unknown as SystemCalls,
    errno: () => errnoView[0]!,
    describe: (errno) => `${getSystemErrorName(-errno)}: ${getSystemErrorMessage(-errno)}`,
    addressOf: (buffer) => ffi.getRawPointer(buffer),
    loop: ffi.getCurrentEventLoop(),
  };
}

/** The part of node:ffi that is used here. */
interface Ffi {
  readonly DynamicLibrary: new (
    path: null,
  ) => {
    getFunctions(signatures: object): Record<string, (...args: never[]) => unknown>;
  };
  toArrayBuffer(address: bigint, bytes: number, copy: boolean): ArrayBuffer;
  getRawPointer(buffer: ArrayBufferLike | ArrayBufferView): bigint;
  getCurrentEventLoop(): bigint;
}

interface InternalBinding {
  internalBinding(name: string): Ffi;
}

function loadFfi(): Ffi {
  const internals = process.getBuiltinModule("internal/test/binding") as InternalBinding | undefined;
  if (internals !== undefined) return internals.internalBinding("ffi");
  // Asked for here, because merely importing it prints a warning, and older Nodes do not have it.
  const ffi = process.getBuiltinModule("node:ffi");
  if (ffi === undefined) throw new Error("this Node has no node:ffi");
  return ffi as unknown as Ffi;
}
