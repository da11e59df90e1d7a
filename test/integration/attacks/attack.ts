// What an attack is. The numbers are those of the catalogue that assembly/abi/limits.ts lists by limit.

import type { Socket } from "node:net";
import type { GLITCH_NAMES } from "../../../src/telemetry/index.ts";
import type { ERROR_CODES } from "../../support/frames.ts";
import type { Arena } from "./arena.ts";
import type { Peer, PeerOptions } from "./peer.ts";

/** Bounded: what it may hold has an end, and its connection is answered afterwards. */
export type Outcome = (typeof ERROR_CODES)[number] | "bounded" | "closed";

/** Serves one connection; an HTTP/2 app says these settings besides its own. */
export type Serve = (socket: Socket, settings: NonNullable<PeerOptions["settings"]>) => void;

export interface Attack {
  /** A1 to A35, or H1 for what only HTTP/1.1 knows. */
  readonly id: string;
  readonly title: string;
  /** How the connection behaves from its start. */
  readonly peer?: PeerOptions;
  /** An app that attacks: what it does with each connection that the sidecar opens to it. */
  readonly app?: { readonly protocol: "http1" | "http2"; readonly serve: Serve };
  /** It ends by one of the engine's timeouts, so it runs beside the others. */
  readonly isPatient?: boolean;
  /** `host` is the service that `app` is. */
  readonly run: (peer: Peer, arena: Arena, host: string) => Promise<void> | void;
  /** The GOAWAY that ends the attacker's connection, `closed` for an end without one, or `bounded`. */
  readonly ends: Outcome;
  /** The kind of `pillion_glitches_total` that must move; none where an honest peer does the same. */
  readonly glitch?: (typeof GLITCH_NAMES)[number];
}
