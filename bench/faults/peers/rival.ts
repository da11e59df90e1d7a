// What a proxy of this comparison is: started before the same servers, with retries and outlier detection on.
//
// Each peer is configured as one who knows it would for a service that answers within milliseconds and whose POSTs must
// not be executed twice: retries for GET on whatever failed and for POST only on proof, on another server; who fails is
// set aside; health is checked twice a second; attempts end after a second, connects after half of one.

import type { RunningPeer } from "../../peers/peer.ts";
import type { Version } from "../faults.ts";

export interface Scene {
  readonly version: Version;
  /** Ports of the servers, on 127.0.0.1. */
  readonly servers: readonly number[];
  /** For files of this proxy in this run. */
  readonly folder: string;
}

export interface Rival {
  readonly name: string;
  /** Why it takes no part in a version; undefined: it does. */
  readonly absence?: (version: Version) => string | undefined;
  start(scene: Scene): Promise<RunningPeer>;
}

export const HEALTH_PATH = "/healthz";
