// Sockets by the kernel's own calls: an epoll loop that reads straight into the engine's memory and writes from it.
//
//   wait ─► read every ready socket, one receive each ─► turn: poll, one writev for each connection, settle ─► wait …
//
// The loop runs inside libuv's check phase (visits.ts). One call for each read and each write, one wait for all.

import type { Socket } from "node:net";
import { RECORD_WRITE, SOCKET_RESET } from "../../../assembly/abi/engine-records.ts";
import { monotonicUs } from "../../base/index.ts";
import { type DescriptorTable, type Engine, RECORD_WORDS } from "../../wasm/index.ts";
import { failureOfErrno } from "../failure.ts";
import { Legs } from "../legs.ts";
import type { ListenerOffer } from "../messages.ts";
import type { AcceptFailure, Divert, Listener, Origin, SocketDriver, SocketHost } from "../sockets.ts";
import { Acceptor } from "./acceptor.ts";
import { SocketAddress } from "./addresses.ts";
import { behind, breakLeg, Leg } from "./leg.ts";
import { ENDING, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EVERYTHING, Poller, READABLE } from "./poller.ts";
import { giveDescriptor, pendingFailure, resetOnClose, startConnecting, takeDescriptor } from "./socket.ts";
import { EAGAIN, type Kernel, SHUT_WR } from "./system-calls.ts";
import { NARROW_BYTES, READ_BYTES, Transfer, TURN_BYTES_MAX, VECTORS_MAX } from "./transfer.ts";
import { Visits } from "./visits.ts";

/** Kinds of events. */
const CONNECTION = 0;
const LIBUV = 1;
const LISTENER = 2;

export class EpollDriver implements SocketDriver {
  readonly name = "epoll";
  readonly #engine: Engine;
  readonly #host: SocketHost;
  readonly #kernel: Kernel;
  readonly #descriptors: DescriptorTable;
  readonly #poller: Poller;
  readonly #visits: Visits;
  readonly #transfer: Transfer;
  readonly #address: SocketAddress;
  readonly #legs = new Legs<Leg>();
  readonly #acceptors: (Acceptor | undefined)[] = [];
  /** Legs written to in the walk under way. */
  readonly #touched: Leg[] = [];
  /** Legs with more to read than one turn takes, and resumed ones. */
  #inLine: Leg[] = [];
  #isScheduled = true;
  #deadlineUs = 0;
  /** Legs for whom this turn had no room: first in the next one. */
  #late: Leg[] = [];
  #turnBytes = 0;
  #nowUs = monotonicUs();

  constructor(engine: Engine, host: SocketHost, kernel: Kernel, descriptors: DescriptorTable) {
    this.#engine = engine;
    this.#host = host;
    this.#kernel = kernel;
    this.#descriptors = descriptors;
    this.#transfer = new Transfer(kernel, engine);
    this.#address = new SocketAddress(kernel);
    this.#poller = new Poller(kernel);
    descriptors.keep(this.#poller.descriptor);
    this.#visits = new Visits(kernel, () => this.#run());
    if (!this.#poller.add(this.#visits.descriptor, EPOLLIN, LIBUV, 0)) {
      throw new Error(`libuv's epoll instance cannot be nested: ${kernel.describe(kernel.errno())}`);
    }
  }

  get count(): number {
    return this.#legs.count;
  }

  async listen(offer: ListenerOffer, failed: (failure: AcceptFailure) => void, divert?: Divert): Promise<Listener> {
    const eventId = this.#acceptors.length;
    const acceptor = new Acceptor({
      kernel: this.#kernel,
      poller: this.#poller,
      address: this.#address,
      offer,
      eventKind: LISTENER,
      eventId,
      take: (descriptor, peer) =>
        divert?.(() => giveDescriptor(descriptor)) === true || this.#accept(descriptor, peer, offer) >= 0,
      failed,
      stopped: () => {
        this.#acceptors[eventId] = undefined;
        this.#descriptors.forget(offer.descriptor);
      },
    });
    this.#descriptors.keep(offer.descriptor);
    this.#acceptors.push(acceptor);
    return acceptor;
  }

  adopt(socket: Socket, origin: Origin): number {
    const peer = socket.remoteAddress ?? "";
    return this.#accept(takeDescriptor(this.#kernel, socket), peer, origin);
  }

  connect(handle: number, ip: string, port: number): number | undefined {
    const connecting = startConnecting(this.#kernel, this.#address, ip, port);
    if ("failure" in connecting) return connecting.failure;
    return this.#open(new Leg(handle, connecting.descriptor, true));
  }

  write(first: number, end: number): number {
    const { records } = this.#engine;
    const transfer = this.#transfer;
    const handle = records[first + 1]!;
    const leg = this.#legs.find(handle);
    if (leg === undefined || leg.isBroken) return first;
    const isBehind = leg.rest.length > 0;
    let at = first;
    let bytes = 0;
    for (;;) {
      const length = records[at + 3]!;
      bytes += length;
      if (isBehind) leg.rest.push(records[at + 2]!, length);
      else transfer.add(records[at + 2]!, length);
      const next = at + RECORD_WORDS;
      if (next >= end || records[next] !== RECORD_WRITE || records[next + 1] !== handle) break;
      if (transfer.count === VECTORS_MAX) break;
      at = next;
    }
    if (isBehind) return at;
    const taken = transfer.write(leg.descriptor);
    if (taken < 0) breakLeg(leg, transfer.errno);
    else {
      leg.handed += taken;
      if (taken < bytes) this.#keepRest(leg, first, at, taken);
    }
    this.#touch(leg);
    return at;
  }

  shutdown(handle: number): void {
    const leg = this.#legs.find(handle);
    if (leg === undefined || leg.isShutDown) return;
    leg.isShutDown = true;
    if (leg.rest.length > 0) return;
    this.#kernel.calls.shutdown(leg.descriptor, SHUT_WR);
    // Both have ended: told after the walk.
    if (leg.isEnded) this.#touch(leg);
  }

  close(handle: number, isReset: boolean): void {
    const leg = this.#legs.find(handle);
    if (leg === undefined) return;
    // The engine closes only what is flushed; else the peer must not take what it got for complete.
    if ((isReset || leg.rest.length > 0) && !leg.isConnecting)
      resetOnClose(this.#kernel, this.#address, leg.descriptor);
    this.#release(leg);
  }

  pause(handle: number): void {
    const leg = this.#legs.find(handle);
    if (leg !== undefined) leg.isPaused = true;
  }

  resume(handle: number): void {
    const leg = this.#legs.find(handle);
    if (leg === undefined || !leg.isPaused) return;
    leg.isPaused = false;
    if (leg.pending !== 0) this.#line(leg, leg.pending);
  }

  settle(): boolean {
    const touched = this.#touched;
    if (touched.length === 0) return false;
    for (let index = 0; index < touched.length; index += 1) {
      const leg = touched[index]!;
      leg.isTouched = false;
      if (leg.isOver) continue;
      const bytes = leg.handed;
      leg.handed = 0;
      if (bytes > 0) this.#engine.written(leg.handle, bytes, this.#nowUs);
      if (leg.isBroken) this.#giveUp(leg);
      else this.#closeIfBothEnded(leg);
    }
    touched.length = 0;
    return true;
  }

  schedule(): void {
    this.#isScheduled = true;
  }

  arm(deadlineUs: number): void {
    this.#deadlineUs = deadlineUs;
  }

  stop(): void {
    this.#visits.stop();
    for (const acceptor of this.#acceptors) acceptor?.stop();
    for (const leg of this.#legs.list()) this.#release(leg);
    this.#descriptors.forget(this.#poller.descriptor);
    this.#kernel.calls.close(this.#poller.descriptor);
  }

  // ── The loop ───────────────────────────────────────────────────────────────────────────────────

  #run(): void {
    const poller = this.#poller;
    this.#visits.begin();
    for (let isLibuvDue = false; !isLibuvDue; ) {
      const libuvMs = this.#visits.timeoutMs();
      isLibuvDue = libuvMs === 0;
      const count = poller.wait(this.#waitMs(libuvMs));
      this.#nowUs = monotonicUs();
      const late = this.#late;
      const line = this.#inLine;
      this.#late = [];
      this.#turnBytes = 0;
      this.#inLine = []; // who lines up in this turn waits for the next, and may be told to pause between
      for (const leg of late) this.#serveInLine(leg);
      for (let index = 0; index < count; index += 1) {
        const kind = poller.kindAt(index);
        if (kind === CONNECTION) this.#serve(poller.idAt(index), poller.eventsAt(index));
        else if (kind === LIBUV) isLibuvDue = true;
        else this.#acceptors[poller.idAt(index)]?.accept();
      }
      for (const leg of line) this.#serveInLine(leg);
      this.#isScheduled = false;
      this.#host.turn(this.#nowUs);
    }
    this.#visits.end();
  }

  /** How long to wait for events: until somebody else is due. */
  #waitMs(libuvMs: number): number {
    if (libuvMs === 0 || this.#isScheduled || this.#inLine.length + this.#late.length > 0) return 0;
    if (this.#deadlineUs === 0) return libuvMs;
    const engineMs = Math.max(0, Math.ceil((this.#deadlineUs - this.#nowUs) / 1_000));
    return libuvMs < 0 ? engineMs : Math.min(libuvMs, engineMs);
  }

  #serve(handle: number, events: number): void {
    const leg = this.#legs.find(handle);
    if (leg === undefined) return;
    if (leg.isConnecting && !this.#finishConnect(leg, events)) return;
    if ((events & EPOLLOUT) !== 0 && leg.rest.length > 0) this.#flush(leg);
    if ((events & READABLE) !== 0 && !leg.isOver) this.#read(leg, events);
  }

  #serveInLine(leg: Leg): void {
    leg.isInLine = false;
    const events = leg.pending;
    leg.pending = 0;
    if (!leg.isOver) this.#read(leg, events);
  }

  #line(leg: Leg, events: number, line = this.#inLine): void {
    leg.pending |= events;
    if (!leg.isInLine) line.push(leg);
    leg.isInLine = true;
  }

  /** Reads until a short read; behind it only where events say that there is an end, which then comes at once. */
  #read(leg: Leg, events: number): void {
    if (leg.isPaused) {
      this.#noteEnd(leg, events);
      return;
    }
    if (leg.isEnded) {
      // An error says that nothing goes out either.
      if ((events & EPOLLERR) !== 0) this.#end(leg, pendingFailure(this.#kernel, this.#address, leg.descriptor));
      return;
    }
    if (this.#turnBytes >= TURN_BYTES_MAX) {
      this.#line(leg, events, this.#late);
      return;
    }
    const isNarrow = leg.isUpstream && this.#engine.readsNarrow(leg.index);
    let bytes = this.#transfer.read(leg.descriptor, isNarrow);
    while (bytes > 0) {
      this.#turnBytes += bytes;
      this.#engine.receive(leg.handle, bytes, this.#nowUs);
      if (bytes === (isNarrow ? NARROW_BYTES : READ_BYTES)) {
        this.#line(leg, events);
        return;
      }
      if ((events & ENDING) === 0) return;
      bytes = this.#transfer.read(leg.descriptor, isNarrow);
    }
    if (bytes === 0) {
      leg.isEnded = true;
      this.#engine.ended(leg.handle, this.#nowUs);
      this.#closeIfBothEnded(leg);
      return;
    }
    if (this.#transfer.errno !== EAGAIN) this.#end(leg, failureOfErrno(this.#transfer.errno));
  }

  /** What a client says by its end ends its work though reading is paused; a server's last bytes may be its answer. */
  #noteEnd(leg: Leg, events: number): void {
    leg.pending |= events;
    if (leg.isUpstream) return;
    if ((events & EPOLLERR) !== 0) this.#end(leg, pendingFailure(this.#kernel, this.#address, leg.descriptor));
    else if ((events & ENDING) !== 0) this.#engine.left(leg.handle, this.#nowUs);
  }

  #finishConnect(leg: Leg, events: number): boolean {
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) {
      this.#end(leg, pendingFailure(this.#kernel, this.#address, leg.descriptor));
      return false;
    }
    if ((events & EPOLLOUT) !== 0) {
      leg.isConnecting = false;
      this.#host.connected(leg.handle, this.#nowUs);
    }
    return !leg.isConnecting;
  }

  /** Writes what the kernel had no room for. */
  #flush(leg: Leg): void {
    const transfer = this.#transfer;
    let written = 0;
    for (let isTaken = true; isTaken && leg.rest.length > 0; ) {
      const { rest } = leg;
      let bytes = 0;
      for (let at = 0; at < rest.length && transfer.count < VECTORS_MAX; at += 2) {
        transfer.add(rest[at]!, rest[at + 1]!);
        bytes += rest[at + 1]!;
      }
      const taken = transfer.write(leg.descriptor);
      if (taken < 0) {
        breakLeg(leg, transfer.errno);
        break;
      }
      isTaken = taken === bytes;
      written += taken;
      leg.rest = behind(rest, taken);
    }
    if (leg.rest.length === 0 && leg.isShutDown) this.#kernel.calls.shutdown(leg.descriptor, SHUT_WR);
    if (written > 0) this.#engine.written(leg.handle, written, this.#nowUs);
    if (leg.isBroken) this.#giveUp(leg);
    else this.#closeIfBothEnded(leg);
  }

  // ── Legs ───────────────────────────────────────────────────────────────────────────────────────

  #accept(descriptor: number, peer: string, origin: Origin): number {
    this.#nowUs = monotonicUs();
    const handle = descriptor < 0 ? -1 : this.#host.accept(peer, origin, this.#nowUs);
    if (handle >= 0 && this.#open(new Leg(handle, descriptor, false)) === undefined) return handle;
    if (handle < 0) this.#kernel.calls.close(descriptor);
    else this.#host.closed(handle, SOCKET_RESET, this.#nowUs);
    return -1;
  }

  /** Watches a new descriptor; a SOCKET_* when the kernel has no room for that, and then it is closed. */
  #open(leg: Leg): number | undefined {
    if (!this.#poller.add(leg.descriptor, EVERYTHING, CONNECTION, leg.handle)) {
      const failure = failureOfErrno(this.#kernel.errno());
      this.#kernel.calls.close(leg.descriptor);
      return failure;
    }
    this.#legs.add(leg);
    this.#descriptors.keepConnection(leg.index, leg.descriptor);
    return undefined;
  }

  #touch(leg: Leg): void {
    if (!leg.isTouched) this.#touched.push(leg);
    leg.isTouched = true;
  }

  /** Keeps what the kernel did not take of the records from `first` to `last`; EPOLLOUT will tell when it has room. */
  #keepRest(leg: Leg, first: number, last: number, taken: number): void {
    const { records } = this.#engine;
    leg.rest = [];
    for (let at = first; at <= last; at += RECORD_WORDS) leg.rest.push(records[at + 2]!, records[at + 3]!);
    leg.rest = behind(leg.rest, taken);
  }

  /** The peer takes nothing more; what it sent before that may be the answer, so it is read first. */
  #giveUp(leg: Leg): void {
    while (!leg.isPaused && !leg.isEnded) {
      const bytes = this.#transfer.read(leg.descriptor);
      if (bytes <= 0) break;
      this.#engine.receive(leg.handle, bytes, this.#nowUs);
    }
    this.#end(leg, leg.failure);
  }

  #closeIfBothEnded(leg: Leg): void {
    if (leg.isEnded && leg.isShutDown && leg.rest.length === 0 && !leg.isOver) this.#end(leg, leg.failure);
  }

  /** The socket is gone. */
  #end(leg: Leg, failure: number): void {
    this.#release(leg);
    this.#host.closed(leg.handle, failure, this.#nowUs);
  }

  #release(leg: Leg): void {
    leg.rest = [];
    this.#legs.forget(leg);
    this.#descriptors.forgetConnection(leg.index);
    this.#kernel.calls.close(leg.descriptor);
  }
}
