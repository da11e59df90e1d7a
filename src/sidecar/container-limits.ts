// What the container's limits mean to a sidecar: how many workers, and how much memory each may use for traffic.
//
//   memory: limit (memory.max) − what a sidecar is without traffic − room for V8 and the kernel, shared by the workers
//
// Past it a worker refuses requests (503 `resource-exhausted`) and shrinks windows before; without a limit of its own
// it would go on to the kernel's, which ends the whole sidecar and every request that it carries.

import { availableParallelism } from "node:os";
import { WORKERS_MAX } from "../../assembly/abi/balancer-table.ts";
import { ENGINE_MEMORY_BYTES } from "../../assembly/abi/limits.ts";

const MIB = 2 ** 20;
/** Idle, one worker, with a large mesh: measured 45 to 80 MiB, a part of which is the program's file. */
const BASE_BYTES = 56 * MIB;
/** A further worker without traffic: its isolate and stacks. */
const WORKER_BYTES = 12 * MIB;
/** Of the limit: V8's garbage, socket buffers, a hook's own process. */
const ROOM_SHARE = 1 / 4;
/** Less serves nobody: the sidecar then runs, and may be ended by the kernel. */
const POOL_BYTES_MIN = 8 * MIB;

/** Bytes of each worker's pool; undefined where nothing limits it. `limitBytes`: 0 or beyond all memory for none. */
export function poolBytesWithin(limitBytes: number, workers: number): number | undefined {
  if (limitBytes <= 0 || !Number.isSafeInteger(limitBytes)) return undefined;
  const left = limitBytes * (1 - ROOM_SHARE) - BASE_BYTES - (workers - 1) * WORKER_BYTES;
  const bytes = Math.max(POOL_BYTES_MIN, Math.floor(left / workers));
  return bytes < ENGINE_MEMORY_BYTES ? bytes : undefined;
}

/** `--workers`; libuv reads the cgroup's CPU quota (cpu.max) into what `auto` is. */
export function countWorkers(workers: number | "auto"): number {
  return workers === "auto" ? Math.min(WORKERS_MAX, Math.max(1, availableParallelism())) : workers;
}
