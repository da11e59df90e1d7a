// Upstream sockets on their way: the instance's endpoint, its host's address, the driver's connect, and the time limit.
//
// The engine names an instance slot; what is learned at once (no such endpoint, refused) is kept until the walk of
// records is over, because nothing may be told to the engine while they are walked.

import { SOCKET_TIMEOUT, SOCKET_UNREACHABLE } from "../../assembly/abi/engine-records.ts";
import type { SocketDriver } from "./sockets.ts";
import type { Upstreams } from "./upstream.ts";

interface Connect {
  readonly handle: number;
  readonly host: string;
  /** Absent while the host name is being looked up. */
  hasSocket: boolean;
  /** Gives up connecting. */
  timer: NodeJS.Timeout | undefined;
}

/** One that failed before it had a socket. */
interface Failed {
  readonly connect: Connect;
  readonly failure: number;
}

export interface ConnectsOptions {
  readonly driver: SocketDriver;
  readonly upstreams: Upstreams;
  /** Outside of a walk: the handle's connect took too long. */
  readonly timedOut: (handle: number, failure: number) => void;
}

export class Connects {
  readonly #driver: SocketDriver;
  readonly #upstreams: Upstreams;
  readonly #timedOut: (handle: number, failure: number) => void;
  readonly #connects = new Map<number, Connect>();
  readonly #failed: Failed[] = [];

  constructor({ driver, upstreams, timedOut }: ConnectsOptions) {
    this.#driver = driver;
    this.#upstreams = upstreams;
    this.#timedOut = timedOut;
  }

  /** Those without a socket: the driver does not count them. */
  get waitingCount(): number {
    let count = 0;
    for (const { hasSocket } of this.#connects.values()) if (!hasSocket) count += 1;
    return count;
  }

  start(handle: number, slot: number, generation: number, timeoutMs: number): void {
    const endpoint = this.#upstreams.endpointOf(slot, generation);
    const connect: Connect = { handle, host: endpoint?.host ?? "", hasSocket: false, timer: undefined };
    this.#connects.set(handle, connect);
    if (endpoint === undefined) {
      this.#failed.push({ connect, failure: SOCKET_UNREACHABLE });
      return;
    }
    const { host, port } = endpoint;
    connect.timer = setTimeout(() => {
      if (connect.hasSocket) this.#driver.close(handle, false);
      this.#timedOut(handle, SOCKET_TIMEOUT);
    }, timeoutMs);
    this.#upstreams.resolve(host, (address) => {
      if (this.#connects.get(handle) !== connect) return;
      const failure = address === undefined ? SOCKET_UNREACHABLE : this.#driver.connect(handle, address, port);
      connect.hasSocket = failure === undefined;
      if (failure === undefined) return;
      this.#failed.push({ connect, failure });
      this.#driver.schedule();
    });
  }

  /** The socket is open. */
  opened(handle: number): void {
    this.#take(handle);
  }

  /** The engine has closed the handle, or was told that it is gone before it was open. */
  forget(handle: number): void {
    this.#take(handle);
  }

  /** The socket is gone: where it was never open, its host's next address is tried the next time. */
  closed(handle: number): void {
    const connect = this.#take(handle);
    if (connect !== undefined) this.#upstreams.failed(connect.host);
  }

  /** Tells of those that failed at once; whether there was one. */
  settle(tell: (handle: number, failure: number) => void): boolean {
    if (this.#failed.length === 0) return false;
    for (const { connect, failure } of this.#failed.splice(0)) {
      // The engine may have closed it in the same walk.
      if (this.#connects.get(connect.handle) === connect) tell(connect.handle, failure);
    }
    return true;
  }

  #take(handle: number): Connect | undefined {
    const connect = this.#connects.get(handle);
    if (connect === undefined) return undefined;
    this.#connects.delete(handle);
    clearTimeout(connect.timer);
    return connect;
  }
}
