// A gRPC users service on SQLite: Register, Login, GetInfo.
//
//   node examples/users/server.ts --listen 127.0.0.1:50061 --name a --database users.db

import * as grpc from "@grpc/grpc-js";
import { listenGrpc, statusError, stopGrpc } from "../support/grpc.ts";
import { announce, parseProgramFlags } from "../support/program.ts";
import { openAccounts } from "./accounts.ts";
import {
  type Credentials,
  type GetInfoReply,
  type GetInfoRequest,
  type LoginReply,
  type RegisterReply,
  Users,
} from "./protocol.ts";

/** A name that fits a URL and a log line. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** NIST SP 800-63B §5.1.1.2: at least 8; the upper bound keeps a hash's cost the caller's, not ours. */
const PASSWORD_LENGTH_MIN = 8;
const PASSWORD_LENGTH_MAX = 256;

const flags = parseProgramFlags({ listen: "127.0.0.1:50061", name: "users", database: ":memory:" });
const accounts = openAccounts(flags.database);
const instance = flags.name;

/** A handler that returns its reply or throws a status, as grpc-js wants it: by callback. */
function unary<Request, Reply>(handle: (call: grpc.ServerUnaryCall<Request, Reply>) => Promise<Reply>) {
  return (call: grpc.ServerUnaryCall<Request, Reply>, callback: grpc.sendUnaryData<Reply>) => {
    handle(call).then(
      (reply) => callback(null, reply),
      (error: Partial<grpc.ServiceError>) => {
        if (error.code === undefined) process.stderr.write(`${error.stack}\n`);
        callback(error.code === undefined ? statusError(grpc.status.INTERNAL, "internal error") : error);
      },
    );
  };
}

function checkCredentials({ name, password }: Credentials): void {
  if (!NAME.test(name)) {
    throw statusError(grpc.status.INVALID_ARGUMENT, "a name is 1 to 64 of a-z, 0-9, dot, underscore and hyphen");
  }
  if (password.length < PASSWORD_LENGTH_MIN || password.length > PASSWORD_LENGTH_MAX) {
    throw statusError(
      grpc.status.INVALID_ARGUMENT,
      `a password has ${PASSWORD_LENGTH_MIN} to ${PASSWORD_LENGTH_MAX} characters`,
    );
  }
}

const server = new grpc.Server();
server.addService(Users.service, {
  Register: unary<Credentials, RegisterReply>(async ({ request }) => {
    checkCredentials(request);
    const account = await accounts.createAccount(request.name, request.password);
    if (account === undefined) throw statusError(grpc.status.ALREADY_EXISTS, `${request.name} is taken`);
    return { id: account.id, instance };
  }),
  Login: unary<Credentials, LoginReply>(async ({ request }) => {
    checkCredentials(request);
    const token = await accounts.createSession(request.name, request.password);
    if (token === undefined) throw statusError(grpc.status.UNAUTHENTICATED, "wrong name or password");
    return { token, instance };
  }),
  GetInfo: unary<GetInfoRequest, GetInfoReply>(async ({ request, metadata }) => {
    const [, token] = /^Bearer (.+)$/.exec(`${metadata.get("authorization")[0] ?? ""}`) ?? [];
    if (token === undefined || !accounts.isSession(token)) {
      throw statusError(grpc.status.UNAUTHENTICATED, "log in first, and send `authorization: Bearer <token>`");
    }
    const account = accounts.readAccount(request.name);
    if (account === undefined) throw statusError(grpc.status.NOT_FOUND, `nobody is called ${request.name}`);
    return { ...account, instance };
  }),
});

announce(await listenGrpc(server, flags.listen), async () => {
  await stopGrpc(server);
  accounts.close();
});
