// The demo's clients: foreign ones, each with its own protocol, all through the one outbound.
//
// @grpc/grpc-js for the gRPC services, undici (HTTP/1.1) and node:http2 for the plain one. Every call resolves with the
// name of the instance that answered, and rejects when the answer is not what the service should say.

import { randomUUID } from "node:crypto";
import { type ClientHttp2Session, connect } from "node:http2";
import * as grpc from "@grpc/grpc-js";
import { Pool } from "undici";
import { createGreeterClient, type GreeterClient, sayHello } from "../../../examples/greeter/protocol.ts";
import { createUsersClient, type UsersClient } from "../../../examples/users/protocol.ts";

/** Connections of the HTTP/1.1 client: as many requests as are under way at once. */
const HTTP1_CONNECTIONS = 16;

export interface DemoClients {
  /** `greeter`, or one of the policy services: the same protocol. */
  sayHello(service: string, user?: string): Promise<string>;
  streamHello(): Promise<string>;
  /** Two messages there and back on one call. */
  chatHello(): Promise<string>;
  /** Opens a call and leaves it open: `answered` tells by whom, `end` ends it. */
  openChat(service: string): { readonly answered: Promise<string>; end(): Promise<void> };
  /** Registers, logs in and asks who that is: three calls, three answers. */
  useAccount(): Promise<readonly string[]>;
  sendHttp1(): Promise<string>;
  sendHttp2(): Promise<string>;
  close(): Promise<void>;
}

/** Connects to the outbound sidecar at `host:port`. */
export function createDemoClients(outbound: string): DemoClients {
  const greeters = new Map<string, GreeterClient>();
  const greeterOf = (service: string): GreeterClient => {
    const client = greeters.get(service) ?? createGreeterClient(outbound, service);
    greeters.set(service, client);
    return client;
  };
  const users = createUsersClient(outbound, "users");
  const pool = new Pool(`http://${outbound}`, { connections: HTTP1_CONNECTIONS });
  const session = connect(`http://${outbound}`);
  session.on("error", () => undefined); // its requests fail, and say so
  return {
    async sayHello(service, user = "demo") {
      const metadata = new grpc.Metadata();
      metadata.set("x-user", user);
      const { message, instance } = await sayHello(greeterOf(service), user, metadata);
      expect(message === `Hello, ${user}!`, `unexpected greeting ${message}`);
      return instance;
    },
    async streamHello() {
      const instances: string[] = [];
      for await (const { instance } of greeterOf("greeter").sayHelloStreamReply({ name: "demo" }))
        instances.push(instance);
      expect(instances.length === 5, `${instances.length} replies instead of 5`);
      return instances[0] ?? "";
    },
    async chatHello() {
      const chat = openChat(greeterOf("greeter"), ["one", "two"]);
      const instance = await chat.answered;
      await chat.end();
      return instance;
    },
    openChat: (service) => openChat(greeterOf(service), ["hold"]),
    useAccount: () => useAccount(users),
    async sendHttp1() {
      const { statusCode, body } = await pool.request({ method: "GET", path: "/", headers: { host: "web" } });
      expect(statusCode === 200, `status ${statusCode}`);
      return ((await body.json()) as { instance: string }).instance;
    },
    sendHttp2: () => sendHttp2(session),
    async close() {
      for (const client of greeters.values()) client.close();
      users.close();
      session.destroy();
      await pool.destroy();
    },
  };
}

function expect(condition: boolean, problem: string): void {
  if (!condition) throw new Error(problem);
}

function openChat(client: GreeterClient, names: readonly string[]) {
  const call = client.sayHelloBidiStream();
  const answered = Promise.withResolvers<string>();
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => undefined); // `answered` fails with the same error
  let replies = 0;
  call.on("data", ({ instance }: { instance: string }) => {
    replies += 1;
    if (replies === names.length) answered.resolve(instance);
  });
  call.on("error", (error) => {
    answered.reject(error);
    ended.reject(error);
  });
  call.on("end", () => ended.resolve());
  for (const name of names) call.write({ name });
  return {
    answered: answered.promise,
    end() {
      call.end();
      return ended.promise;
    },
  };
}

async function useAccount(users: UsersClient): Promise<readonly string[]> {
  const credentials = { name: `demo-${randomUUID()}`, password: randomUUID() };
  const registered = await users.register(credentials);
  const session = await users.login(credentials);
  const info = await users.getInfo(credentials.name, session.token);
  expect(info.id === registered.id, "another account than the one registered");
  return [registered.instance, session.instance, info.instance];
}

function sendHttp2(session: ClientHttp2Session): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const stream = session.request({ ":path": "/", ":authority": "web" });
  let text = "";
  let status = 0;
  stream.setEncoding("utf8");
  stream.on("response", (headers) => {
    status = headers[":status"] ?? 0;
  });
  stream.on("data", (chunk: string) => {
    text += chunk;
  });
  stream.on("error", reject);
  stream.on("close", () => reject(new Error("the stream was closed")));
  stream.on("end", () => {
    if (status === 200) resolve((JSON.parse(text) as { instance: string }).instance);
    else reject(new Error(`status ${status}: ${text.trim()}`));
  });
  return promise;
}
