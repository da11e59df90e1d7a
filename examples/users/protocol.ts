// The users service in types: what examples/users/users.proto means for server, demo and tests.

import * as grpc from "@grpc/grpc-js";
import { loadService } from "../support/grpc.ts";

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

export interface RegisterReply {
  readonly id: string;
  readonly instance: string;
}

export interface LoginReply {
  readonly token: string;
  readonly instance: string;
}

export interface GetInfoRequest {
  readonly name: string;
}

export interface GetInfoReply {
  readonly id: string;
  readonly name: string;
  readonly created: string;
  readonly instance: string;
}

type Call<Request, Reply> = (
  request: Request,
  metadata: grpc.Metadata,
  callback: grpc.requestCallback<Reply>,
) => grpc.ClientUnaryCall;

interface RawUsersClient extends grpc.Client {
  register: Call<Credentials, RegisterReply>;
  login: Call<Credentials, LoginReply>;
  getInfo: Call<GetInfoRequest, GetInfoReply>;
}

/** The three calls as promises; a failure rejects with grpc-js's ServiceError. */
export interface UsersClient {
  register(credentials: Credentials): Promise<RegisterReply>;
  login(credentials: Credentials): Promise<LoginReply>;
  getInfo(name: string, token: string | undefined): Promise<GetInfoReply>;
  close(): void;
}

export const Users = loadService(new URL("./users.proto", import.meta.url), "users.Users");

/** Connects to `target`; `authority` is the name of the service when the target is a sidecar. */
export function createUsersClient(target: string, authority?: string): UsersClient {
  const options = authority === undefined ? {} : { "grpc.default_authority": authority };
  const raw = new Users(target, grpc.credentials.createInsecure(), options) as unknown as RawUsersClient;
  const send = <Request, Reply>(call: Call<Request, Reply>, request: Request, metadata = new grpc.Metadata()) =>
    new Promise<Reply>((resolve, reject) => {
      call.call(raw, request, metadata, (error, reply) => {
        if (error !== null || reply === undefined) reject(error ?? new Error("no reply"));
        else resolve(reply);
      });
    });
  return {
    register: (credentials) => send(raw.register, credentials),
    login: (credentials) => send(raw.login, credentials),
    getInfo(name, token) {
      const metadata = new grpc.Metadata();
      if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
      return send(raw.getInfo, { name }, metadata);
    },
    close: () => raw.close(),
  };
}
