// A gRPC service of all four kinds of call on @grpc/grpc-js, with raw bytes as messages: no protocol file needed.
//
//   Unary   "x" → "<instance>: x"; "fail <code>" fails with that code and the details "as asked"; "wait" never answers
//   Client  n messages → one with their number and bytes
//   Server  "n" → n messages; "forever" → messages until cancelled
//   Bidi    each message comes back
//
// The server counts the calls whose client went away, so that a test can see a cancel arrive.

import * as grpc from "@grpc/grpc-js";

/** How often `forever` sends. */
const FOREVER_PERIOD_MS = 5;

const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };

function methodOf(
  name: string,
  requestStream: boolean,
  responseStream: boolean,
): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    path: `/test.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  };
}

const service = {
  Unary: methodOf("Unary", false, false),
  Client: methodOf("Client", true, false),
  Server: methodOf("Server", false, true),
  Bidi: methodOf("Bidi", true, true),
};

export interface GrpcServer extends AsyncDisposable {
  readonly name: string;
  readonly address: string;
  /** Calls that began. */
  readonly calls: number;
  /** Calls that the client, or a deadline, cancelled. */
  readonly cancelled: number;
  /** The `grpc-timeout` and other metadata of the latest call. */
  readonly metadata: grpc.Metadata;
  /** The deadline of the latest call as the server understood it. */
  readonly deadline: grpc.Deadline;
  close(): Promise<void>;
}

type AnyCall = Pick<grpc.ServerUnaryCall<Buffer, Buffer>, "metadata" | "getDeadline"> & {
  on(event: "cancelled", listener: () => void): unknown;
};

/** The four methods; `note` is told of each call when it begins. */
function handlersOf(name: string, note: (call: AnyCall) => void): grpc.UntypedServiceImplementation {
  return {
    Unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) {
      note(call);
      const text = call.request.toString();
      if (text === "wait") return;
      const [, code] = /^fail (\d+)$/.exec(text) ?? [];
      if (code !== undefined) callback({ code: Number(code), details: "as asked" });
      else callback(null, Buffer.from(`${name}: ${text}`));
    },
    Client(call: grpc.ServerReadableStream<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) {
      note(call);
      let messages = 0;
      let total = 0;
      call.on("data", (message: Buffer) => {
        messages += 1;
        total += message.length;
      });
      call.on("end", () => callback(null, Buffer.from(`${messages} ${total}`)));
    },
    Server(call: grpc.ServerWritableStream<Buffer, Buffer>) {
      note(call);
      const text = call.request.toString();
      if (text !== "forever") {
        for (let number = 1; number <= Number(text); number += 1) call.write(Buffer.from(`${number}`));
        return void call.end();
      }
      const timer = setInterval(() => call.write(Buffer.from("more")), FOREVER_PERIOD_MS);
      call.on("cancelled", () => clearInterval(timer));
    },
    Bidi(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
      note(call);
      call.on("data", (message: Buffer) => call.write(message));
      call.on("end", () => call.end());
    },
  };
}

/** Starts the echo service. */
export async function startGrpcServer(name = "a", port = 0): Promise<GrpcServer> {
  const seen = { calls: 0, cancelled: 0, metadata: new grpc.Metadata(), deadline: Infinity as grpc.Deadline };
  const note = (call: AnyCall) => {
    seen.calls += 1;
    seen.metadata = call.metadata;
    seen.deadline = call.getDeadline();
    call.on("cancelled", () => {
      seen.cancelled += 1;
    });
  };
  const server = new grpc.Server();
  server.addService(service, handlersOf(name, note));
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, number) =>
      error === null ? resolve(number) : reject(error),
    );
  });
  const close = async () => server.forceShutdown();
  return {
    name,
    address: `127.0.0.1:${bound}`,
    get calls() {
      return seen.calls;
    },
    get cancelled() {
      return seen.cancelled;
    },
    get metadata() {
      return seen.metadata;
    },
    get deadline() {
      return seen.deadline;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What a unary or client-streaming call came to. */
export interface GrpcOutcome {
  readonly code: grpc.status;
  readonly details: string;
  readonly reply: string | undefined;
  readonly metadata: grpc.Metadata;
}

/** A client of the echo service through `address`, for the service `authority`. */
export function createGrpcClient(address: string, authority: string) {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    "grpc.default_authority": authority,
    // A channel of its own each: grpc-js would share sockets between tests.
    "grpc.use_local_subchannel_pool": 1,
  });
  const settle = (resolve: (outcome: GrpcOutcome) => void): grpc.requestCallback<Buffer> => {
    return (error, reply) =>
      resolve({
        code: error?.code ?? grpc.status.OK,
        details: error?.details ?? "",
        reply: reply?.toString(),
        metadata: error?.metadata ?? new grpc.Metadata(),
      });
  };
  const { requestSerialize: write, responseDeserialize: read } = service.Unary;
  return {
    raw: client,
    unary(text: string, metadata = new grpc.Metadata(), options: grpc.CallOptions = {}) {
      const { promise, resolve } = Promise.withResolvers<GrpcOutcome>();
      const call = client.makeUnaryRequest(
        service.Unary.path,
        write,
        read,
        Buffer.from(text),
        metadata,
        options,
        settle(resolve),
      );
      return Object.assign(promise, { cancel: () => call.cancel() });
    },
    clientStream(messages: Iterable<string | Buffer>, options: grpc.CallOptions = {}) {
      const { promise, resolve } = Promise.withResolvers<GrpcOutcome>();
      const call = client.makeClientStreamRequest(
        service.Client.path,
        write,
        read,
        new grpc.Metadata(),
        options,
        settle(resolve),
      );
      for (const message of messages) call.write(Buffer.from(message));
      call.end();
      return promise;
    },
    serverStream(text: string, options: grpc.CallOptions = {}) {
      return client.makeServerStreamRequest(service.Server.path, write, read, Buffer.from(text), options);
    },
    bidi(options: grpc.CallOptions = {}) {
      return client.makeBidiStreamRequest(service.Bidi.path, write, read, options);
    },
    close: () => client.close(),
    async [Symbol.asyncDispose]() {
      client.close();
    },
  };
}
