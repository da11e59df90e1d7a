// The greeter's protocol in types: what examples/greeter/greeter.proto means for server, client, demo and tests.

import * as grpc from "@grpc/grpc-js";
import { loadService } from "../support/grpc.ts";

export interface HelloRequest {
  readonly name: string;
}

export interface HelloReply {
  readonly message: string;
  readonly instance: string;
}

/** A typed view of the client that grpc-js makes out of the file. */
export interface GreeterClient extends grpc.Client {
  sayHello(
    request: HelloRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<HelloReply>,
  ): grpc.ClientUnaryCall;
  sayHelloStreamReply(request: HelloRequest, metadata?: grpc.Metadata): grpc.ClientReadableStream<HelloReply>;
  sayHelloBidiStream(metadata?: grpc.Metadata): grpc.ClientDuplexStream<HelloRequest, HelloReply>;
}

export const Greeter = loadService(new URL("./greeter.proto", import.meta.url), "helloworld.Greeter");

/** Connects to `target`; `authority` is the name of the service when the target is a sidecar. */
export function createGreeterClient(target: string, authority?: string): GreeterClient {
  const options = authority === undefined ? {} : { "grpc.default_authority": authority };
  return new Greeter(target, grpc.credentials.createInsecure(), options) as unknown as GreeterClient;
}

/** One unary call as a promise. */
export function sayHello(client: GreeterClient, name: string, metadata = new grpc.Metadata()): Promise<HelloReply> {
  return new Promise((resolve, reject) => {
    client.sayHello({ name }, metadata, (error, reply) => {
      if (error !== null || reply === undefined) reject(error ?? new Error("no reply"));
      else resolve(reply);
    });
  });
}
