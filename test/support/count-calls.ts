// Preloaded into a sidecar (`node --import`): counts what a worker's JavaScript does, without a change to the product.
//
// On each worker the engine's exports are wrapped and the writes of sockets are counted; V8 itself counts the bytes
// that the worker's heap has given out. On SIGUSR2 each worker writes one line to stderr, `counts {…}`, its sums since
// it began. With PILLION_COUNT_CANARY=1 each read costs a call and garbage more for every exchange in it, as it would
// if the way of a request went through JavaScript again: what judges the counts must then complain.

import { writeSync } from "node:fs";
import { Socket } from "node:net";
import { getHeapStatistics } from "node:v8";
import { BroadcastChannel, isMainThread } from "node:worker_threads";

/** What a line says: sums since the worker began. */
export interface Counts {
  readonly engineCalls: number;
  readonly writes: number;
  /** Everything that the worker's JavaScript heap ever held. */
  readonly allocatedBytes: number;
}

/** About what one request of the load has on the wire: the canary makes one object for each. */
const CANARY_REQUEST_BYTES = 40;

const channel = new BroadcastChannel("pillion-counts");
if (isMainThread) passSignalOn();
else countHere();

/** Signals reach the main thread only. */
function passSignalOn(): void {
  process.on("SIGUSR2", () => channel.postMessage("count"));
}

function countHere(): void {
  // Cells of a typed array: counting makes no garbage of its own.
  const cells = new Int32Array(2);
  countExports(cells);
  countWrites(cells);
  channel.onmessage = ({ data }) => {
    if (data !== "count") return;
    const { total_allocated_bytes: allocatedBytes } = getHeapStatistics() as { total_allocated_bytes: number };
    // Past process.stderr, which in a worker goes by way of the main thread.
    writeSync(2, `counts ${JSON.stringify({ engineCalls: cells[0], writes: cells[1], allocatedBytes })}\n`);
  };
  channel.unref();
}

type Call = (...args: number[]) => unknown;

/** Wraps the exports of whatever has the engine's, as soon as it is instantiated. */
function countExports(cells: Int32Array): void {
  const Native = WebAssembly.Instance;
  const instantiate = (module: WebAssembly.Module, imports?: WebAssembly.Imports): unknown => {
    const instance = new Native(module, imports);
    if (!("receive" in instance.exports)) return instance;
    const counted = Object.entries(instance.exports).map(([name, value]) => {
      if (typeof value !== "function") return [name, value];
      const call = value as Call;
      return [name, name === "receive" ? countReceive(cells, call) : countCall(cells, call)];
    });
    return { exports: Object.fromEntries(counted) };
  };
  // `new` of a function that returns an object gives that object.
  function Counted(module: WebAssembly.Module, imports?: WebAssembly.Imports): unknown {
    return instantiate(module, imports);
  }
  Object.assign(WebAssembly, { Instance: Counted });
}

/** Engine exports take at most four numbers; spreading them would make an array for each call. */
function countCall(cells: Int32Array, call: Call): Call {
  return (a, b, c, d) => {
    cells[0] = (cells[0] ?? 0) + 1;
    return call(a as number, b as number, c as number, d as number);
  };
}

function countReceive(cells: Int32Array, call: Call): Call {
  if (process.env.PILLION_COUNT_CANARY !== "1") return countCall(cells, call);
  const kept: unknown[] = [];
  return (handle, length, nowUs) => {
    for (let at = 0; at < (length ?? 0); at += CANARY_REQUEST_BYTES) {
      cells[0] = (cells[0] ?? 0) + 1;
      kept[0] = { headers: { at: `${at}`, handle: `${handle}` }, body: new Array(16).fill(at) };
    }
    return call(handle as number, length as number, nowUs as number);
  };
}

/** Every write that reaches the operating system from a socket of this thread passes here. */
function countWrites(cells: Int32Array): void {
  const prototype = Socket.prototype as unknown as Record<string, unknown>;
  const write = prototype._writeGeneric;
  if (typeof write !== "function") throw new Error("net.Socket has no _writeGeneric any more: count its writes anew");
  prototype._writeGeneric = function (this: Socket, ...args: unknown[]): unknown {
    cells[1] = (cells[1] ?? 0) + 1;
    return Reflect.apply(write, this, args);
  };
}
