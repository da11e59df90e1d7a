// One socket of Node, as the driver keeps it beside the engine's connection of the same handle.

import type { Socket } from "node:net";
import { SOCKET_CLOSED } from "../../../assembly/abi/engine-records.ts";
import type { AnyLeg } from "../legs.ts";

export interface Leg extends AnyLeg {
  readonly socket: Socket;
  /** SOCKET_* to report when the socket closes. */
  failure: number;
  /** Bytes handed to the socket in the walk under way, not yet reported as written. */
  handed: number;
  /** Writes that the kernel has not taken yet. */
  unflushed: number;
  /** FIN is wanted behind them. */
  isEnding: boolean;
}

export function createLeg(handle: number, socket: Socket): Leg {
  return { handle, socket, failure: SOCKET_CLOSED, isOver: false, handed: 0, unflushed: 0, isEnding: false };
}
