// What a compilation takes and yields, for those who publish it and those who only look at it.

import type { Address } from "../base/index.ts";
import type { ServiceTuning, SetContent } from "../wasm/index.ts";
import type { Direction } from "./allocation.ts";
import type { InstanceProtocol } from "./program-model.ts";

export interface SnapshotOptions {
  /** The registry's revision of the documents. */
  readonly revision: number;
  /** `--namespace`: its services answer for their bare names too. */
  readonly namespace?: string | undefined;
  /** `--zone`: where instances come first. */
  readonly zone?: string | undefined;
  /** Services of `--listen`, in order. */
  readonly listen?: readonly string[];
  /** What stands beside us: everything inbound goes there. */
  readonly app?: LocalApp | undefined;
}

export interface LocalApp {
  readonly service: string;
  /** `--instance`; only logs and messages show it. */
  readonly id: string;
  readonly address: Address;
  readonly protocol: "auto" | "http1" | "http2" | "tcp";
}

/** Something of a document that is not carried out (issue), or not as written (warning). */
export interface SnapshotIssue {
  /** As etcd's keys name it: `routes/api`. */
  readonly document: string;
  readonly message: string;
}

export interface CompiledService {
  readonly index: number;
  readonly name: string;
  readonly direction: Direction;
  /** First metric cell (abi/metrics.ts). */
  readonly metrics: number;
  /** Known to this snapshot; gone ones keep index and name. */
  readonly isPresent: boolean;
}

export interface CompiledInstance {
  readonly slot: number;
  readonly generation: number;
  /** Index of the service. */
  readonly service: number;
  readonly id: string;
  readonly address: Address;
  readonly protocol: InstanceProtocol;
  readonly isSidecar: boolean;
  readonly isDraining: boolean;
  /** The local app behind the inbound listener. */
  readonly isApp: boolean;
  /** No longer in the documents; stays reachable until all sets were published without it (`settleSnapshot`). */
  readonly isLeaving: boolean;
  readonly weight: number;
}

export interface CompiledSet extends SetContent {
  readonly id: number;
}

/** A limit of a service; `undefined` = none. */
export interface CompiledLimit {
  readonly service: number;
  /** COUNTER_*. */
  readonly counter: number;
  readonly limit: number | undefined;
}

/** How a service's instances are treated by outlier detection and slow start. */
export interface CompiledTuning extends ServiceTuning {
  readonly service: number;
}

/** A service whose connections are carried unread. */
export interface CompiledTcpService {
  readonly index: number;
  readonly name: string;
  readonly direction: Direction;
  /** First metric cell. */
  readonly metrics: number;
  /** The balancer's set of its instances; undefined: there was no place for it. */
  readonly set: number | undefined;
  readonly connectMs: number;
  /** Undefined: never idle. */
  readonly idleMs: number | undefined;
  /** Further instances that are tried while none has taken the connection. */
  readonly retries: number;
  /** Where apps connect to. */
  readonly addresses: readonly Address[];
  /** Where they mean one instance and no other. */
  readonly pinned: readonly PinnedAddress[];
}

/** An instance's own address, beside those of its service. */
export interface PinnedAddress {
  readonly address: Address;
  readonly slot: number;
  readonly generation: number;
}

/** What the data plane needs to know of TCP. */
export interface CompiledTcp {
  readonly services: readonly CompiledTcpService[];
  /** By number of the `--listen` flag: index of the service, where that speaks TCP. */
  readonly listeners: readonly (number | undefined)[];
  /** Index of the service behind the inbound, where the app speaks TCP. */
  readonly inbound: number | undefined;
  /** Names of the services, which no request of HTTP but CONNECT is for. */
  readonly hosts: readonly string[];
}

/** One compiled picture. `bytes` goes to every worker, the rest concerns the main thread. */
export interface CompiledSnapshot {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly revision: number;
  /** By index. */
  readonly services: readonly CompiledService[];
  readonly instances: readonly CompiledInstance[];
  readonly sets: readonly CompiledSet[];
  readonly limits: readonly CompiledLimit[];
  readonly tunings: readonly CompiledTuning[];
  readonly tcp: CompiledTcp;
  readonly warnings: readonly SnapshotIssue[];
  readonly issues: readonly SnapshotIssue[];
}
