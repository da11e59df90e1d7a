// gRPC's own client for Node as a load: unary calls of raw bytes, so many at once over so many connections.
//
// It is slower than any proxy here, which does no harm: the proxy's CPU is what is counted.

import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { GRPC_ANSWER_BYTES } from "../system/backends.ts";
import type { Answers, Target } from "./clients.ts";
import type { Load } from "./loads.ts";
import { quantileOf } from "./statistics.ts";

const MESSAGE = Buffer.from("0123456789");
const same = (bytes: Buffer) => bytes;

/** Rejects at the first call that does not end with OK and the whole answer. */
export async function fireUnary(load: Load, { port, authority }: Target, requests: number): Promise<Answers> {
  const options = {
    // A connection for each client, as so many processes would have.
    "grpc.use_local_subchannel_pool": 1,
    ...(authority === undefined ? {} : { "grpc.default_authority": authority }),
  };
  const address = `127.0.0.1:${port}`;
  const clients = Array.from(
    { length: load.connections },
    () => new Client(address, credentials.createInsecure(), options),
  );
  const took = new Float64Array(requests);
  let next = 0;
  const lane = async (client: Client): Promise<void> => {
    while (next < requests) {
      const number = next;
      next += 1;
      const startMs = performance.now();
      await call(client, load.path);
      took[number] = (performance.now() - startMs) * 1_000;
    }
  };
  const startMs = performance.now();
  try {
    await Promise.all(clients.flatMap((client) => Array.from({ length: load.streams }, () => lane(client))));
  } finally {
    for (const client of clients) client.close();
  }
  const seconds = (performance.now() - startMs) / 1_000;
  took.sort();
  return { requestsPerSecond: requests / seconds, p50Us: quantileOf(took, 0.5), p99Us: quantileOf(took, 0.99) };
}

function call(client: Client, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, same, same, MESSAGE, (error: ServiceError | null, answer?: Buffer) => {
      if (error !== null) reject(error);
      else if (answer?.length !== GRPC_ANSWER_BYTES) reject(new Error(`an answer of ${answer?.length} bytes`));
      else resolve();
    });
  });
}
