// A data-plane thread: instantiates its engine on the shared balancer, then serves.
//
// The modules come compiled and the shared memory by reference. Nothing is caught here: whatever is thrown ends the
// thread, and the supervisor starts another in its place.

import { parentPort, workerData } from "node:worker_threads";
import { assert, monotonicUs } from "../base/index.ts";
import { instantiateBalancer, instantiateEngine, watchAdmission } from "../wasm/index.ts";
import { chooseDriver } from "./choose-driver.ts";
import type { WorkerSetup } from "./messages.ts";
import { serve } from "./serve.ts";

assert(parentPort !== null, "worker.ts is started as a worker thread");
const { worker, seed, modules, sockets, intercept, poolBytes } = workerData as WorkerSetup;
const balancer = instantiateBalancer(modules.balancer, modules.balancerMemory);
balancer.start(worker, seed);
const engine = instantiateEngine(modules.engine, balancer);
engine.start(worker, seed, monotonicUs());
if (poolBytes !== undefined) engine.limitPool(poolBytes);
const { wake } = serve(engine, balancer, parentPort, chooseDriver(sockets), intercept);
watchAdmission(modules.balancerMemory, worker, wake);
