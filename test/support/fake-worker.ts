// A worker thread whose engine is written in TypeScript: echoes, and answers its number to whoever asks "who".

import { parentPort, workerData } from "node:worker_threads";
import { RECORD_SHUTDOWN } from "../../assembly/abi/engine-records.ts";
import { chooseDriver } from "../../src/dataplane/choose-driver.ts";
import { serve } from "../../src/dataplane/serve.ts";
import type { SocketDriverName } from "../../src/dataplane/sockets.ts";
import { Balancer, createSharedDescriptors, instantiateBalancer, loadModule } from "../../src/wasm/index.ts";
import { FakeEngine } from "./fake-engine.ts";

const { worker, driver = "libuv" } = workerData as { worker: number; driver?: SocketDriverName };
const fake = new FakeEngine({
  received: (connection, bytes, engine) => {
    engine.write(connection, bytes.toString() === "who" ? Buffer.from(`worker ${worker}`) : bytes);
  },
  ended: (connection, engine) => engine.record(RECORD_SHUTDOWN, connection.handle),
});
const balancer = loadModule("balancer");
const exports = instantiateBalancer(balancer, new Balancer(balancer).memory);
exports.start(0, 1);
serve(fake.engine, exports, parentPort!, chooseDriver({ driver, descriptors: createSharedDescriptors() }));
