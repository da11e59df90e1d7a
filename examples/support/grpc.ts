// Loading a .proto beside the code, and binding a gRPC server to an address.
//
// @grpc/proto-loader reads the file at start, so there is no generated code. The loaded package is untyped: each
// example gives its client and its handlers the types that its .proto means.

import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** Loads a protocol file and takes one service out of it, `helloworld.Greeter` for instance. */
export function loadService(protocolFile: URL, service: string): grpc.ServiceClientConstructor {
  const definition = loadSync(fileURLToPath(protocolFile), { keepCase: true, longs: String, defaults: true });
  let found: unknown = grpc.loadPackageDefinition(definition);
  for (const name of service.split(".")) found = (found as Record<string, unknown> | undefined)?.[name];
  if (found === undefined) throw new Error(`${service} is not in ${protocolFile.pathname}`);
  return found as grpc.ServiceClientConstructor;
}

/** Binds to `host:port`; resolves with the address in use. */
export function listenGrpc(server: grpc.Server, address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error !== null) reject(error);
      else resolve(`${address.slice(0, address.lastIndexOf(":"))}:${port}`);
    });
  });
}

/** Lets calls in flight finish, but no longer than `patienceMs`. */
export function stopGrpc(server: grpc.Server, patienceMs = 2000): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, patienceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** An error that grpc-js turns into a status. */
export function statusError(code: grpc.status, details: string): grpc.ServerErrorResponse {
  return Object.assign(new Error(details), { code, details });
}
