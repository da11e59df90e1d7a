// The engine's memory as JavaScript sees it: one private WebAssembly.Memory and the views on it.
//
// Initial = maximum, so it never grows and the views, made once, never detach. Sockets read into and write out of
// these views directly (DESIGN §8); what may be touched when is the engine's business (engine.ts).

import {
  EXCHANGE_AREA_BYTES,
  READ_BUFFER,
  RECORD_BYTES,
  RECORDS,
  RECORDS_MAX,
  TEXT_AREA,
} from "../../assembly/abi/engine-memory.ts";
import { ENGINE_MEMORY_BYTES, READ_BUFFER_BYTES } from "../../assembly/abi/limits.ts";

/** Fixed by the Wasm specification, §4.2.8. */
const PAGE_BYTES = 65_536;

export interface EngineViews {
  /** All of the memory; `subarray` of it is what a socket writes. */
  readonly bytes: Buffer;
  /** Where sockets read to. */
  readonly readBuffer: Uint8Array;
  /** The records of `poll`, eight words each (abi/engine-records.ts). */
  readonly records: Uint32Array;
  /** Text beside a call. */
  readonly text: Uint8Array;
}

/** The memory that engine.wasm imports. */
export function createEngineMemory(): WebAssembly.Memory {
  const pages = ENGINE_MEMORY_BYTES / PAGE_BYTES;
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}

export function createEngineViews(buffer: ArrayBuffer): EngineViews {
  return {
    bytes: Buffer.from(buffer),
    readBuffer: new Uint8Array(buffer, READ_BUFFER, READ_BUFFER_BYTES),
    records: new Uint32Array(buffer, RECORDS, (RECORD_BYTES / 4) * RECORDS_MAX),
    text: new Uint8Array(buffer, TEXT_AREA, EXCHANGE_AREA_BYTES),
  };
}
