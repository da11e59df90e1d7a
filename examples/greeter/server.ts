// A gRPC greeter: unary, server-streaming, bidirectional.
//
//   node examples/greeter/server.ts --listen 127.0.0.1:50051 --name a

import * as grpc from "@grpc/grpc-js";
import { listenGrpc, stopGrpc } from "../support/grpc.ts";
import { announce, parseProgramFlags } from "../support/program.ts";
import { Greeter, type HelloReply, type HelloRequest } from "./protocol.ts";

/** Replies of one server-streaming call. */
const STREAM_REPLIES = 5;

const flags = parseProgramFlags({ listen: "127.0.0.1:50051", name: "greeter", database: "" });
const replyTo = (name: string): HelloReply => ({ message: `Hello, ${name}!`, instance: flags.name });

const server = new grpc.Server();
server.addService(Greeter.service, {
  SayHello(call: grpc.ServerUnaryCall<HelloRequest, HelloReply>, callback: grpc.sendUnaryData<HelloReply>) {
    callback(null, replyTo(call.request.name));
  },
  SayHelloStreamReply(call: grpc.ServerWritableStream<HelloRequest, HelloReply>) {
    for (let number = 1; number <= STREAM_REPLIES; number += 1) call.write(replyTo(`${call.request.name} ${number}`));
    call.end();
  },
  SayHelloBidiStream(call: grpc.ServerDuplexStream<HelloRequest, HelloReply>) {
    call.on("data", (request: HelloRequest) => call.write(replyTo(request.name)));
    call.on("end", () => call.end());
  },
});

announce(await listenGrpc(server, flags.listen), () => stopGrpc(server));
