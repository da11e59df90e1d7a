// One connection to one member of the cluster, from handshake to loss.
//
// A session is used until something about it fails, and is then thrown away whole: grpc-js would reconnect by itself,
// on its own timetable and to the same member, and cases are known where it never does. Every procedure has a deadline,
// measured on the monotonic clock. Tokens (user and password) are fetched here and fetched again when etcd no longer
// accepts them; the refused call is then repeated once, which is safe because it was refused.
//
// `hasleader` makes a member that lost its cluster say so instead of answering from its past.

import { isIP } from "node:net";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { IWatchRequest, IWatchResponse } from "etcd3";
import {
  type Address,
  assert,
  type Clock,
  formatAddress,
  isPillionError,
  type PillionError,
  pillionError,
} from "../../base/index.ts";
import { AUTHENTICATE, LEASE_KEEP_ALIVE, type Method, WATCH } from "./rpc.ts";

/** reliability.md F2: a member that accepts and never answers is left after this long. */
export const CALL_MS = 5000;

/** Pings while a stream is open; etcd refuses more than one in five seconds (embed: MinTime). */
const KEEPALIVE_TIME_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 5000;
/** A page of a list holds a thousand documents; one document is at most 1.5 MiB, so this is a guard and not a limit. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** The server name sent to an endpoint that is an address; RFC 2606 keeps it from being anybody's. */
const NAMELESS = "etcd.invalid";

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface SessionOptions {
  readonly endpoint: Address;
  readonly channel: ChannelCredentials;
  readonly credentials: Credentials | undefined;
  readonly clock: Clock;
}

export interface Session {
  readonly endpoint: string;
  call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response>;
  /** Renews a lease once; resolves to the seconds that it has left, 0 or less when it is gone. */
  keepAlive(leaseId: string): Promise<number>;
  openWatch(): Promise<ClientDuplexStream<IWatchRequest, IWatchResponse>>;
  close(): void;
}

/** Prepares a session; the first call connects. */
export function createSession(options: SessionOptions): Session {
  return new GrpcSession(options);
}

class GrpcSession implements Session {
  readonly endpoint: string;
  readonly #options: SessionOptions;
  readonly #client: Client;
  /** Calls under way; they end with the session instead of at their deadline. */
  readonly #active = new Set<{ cancel(): void }>();
  #token: Promise<string | undefined> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.endpoint = formatAddress(options.endpoint);
    this.#client = new Client(this.endpoint, options.channel, {
      "grpc.keepalive_time_ms": KEEPALIVE_TIME_MS,
      "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
      "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
      "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
      // Without it a new session would inherit the connection, and the back-off, of the one that failed.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      "grpc.service_config_disable_resolution": 1,
      // Node refuses an address as the name of a TLS server (RFC 6066 §3), and grpc-js names one nevertheless.
      ...(isIP(options.endpoint.host) === 0 ? {} : { "grpc.ssl_target_name_override": NAMELESS }),
      // No proxy of the environment stands between a sidecar and its etcd.
      "grpc.enable_http_proxy": 0,
    });
  }

  async call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    try {
      return await this.#unary(method, request, await this.#metadata());
    } catch (error) {
      if (!isTokenRefused(error) || this.#options.credentials === undefined) throw error;
      this.#token = undefined;
      return this.#unary(method, request, await this.#metadata());
    }
  }

  async keepAlive(leaseId: string): Promise<number> {
    const metadata = await this.#metadata();
    const { path, requestSerialize, responseDeserialize } = LEASE_KEEP_ALIVE;
    return new Promise((resolve, reject) => {
      const stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
      const timer = this.#options.clock.after(CALL_MS, () => {
        reject(this.#timedOut());
        stream.cancel();
      });
      this.#active.add(stream);
      stream.on("data", ({ TTL }) => {
        resolve(Number(TTL));
        stream.cancel();
      });
      stream.on("error", (error: ServiceError) => {
        timer.cancel();
        this.#active.delete(stream);
        reject(this.#errorOf(error, path));
      });
      stream.on("end", () => reject(this.#unavailable("the stream ended without an answer")));
      stream.write({ ID: leaseId });
    });
  }

  async openWatch(): Promise<ClientDuplexStream<IWatchRequest, IWatchResponse>> {
    const { path, requestSerialize, responseDeserialize } = WATCH;
    const metadata = await this.#metadata();
    const stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    this.#active.add(stream);
    stream.on("close", () => this.#active.delete(stream));
    return stream;
  }

  close(): void {
    for (const call of this.#active) call.cancel();
    this.#active.clear();
    this.#client.close();
  }

  #unary<Request, Response>(
    { path, requestSerialize, responseDeserialize }: Method<Request, Response>,
    request: Request,
    metadata: Metadata,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: Response) => {
        timer.cancel();
        this.#active.delete(call);
        if (error !== null) return reject(this.#errorOf(error, path));
        assert(response !== undefined, "a procedure without an error has a response");
        resolve(response);
      };
      const call = this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, done);
      const timer = this.#options.clock.after(CALL_MS, () => {
        reject(this.#timedOut());
        call.cancel();
      });
      this.#active.add(call);
    });
  }

  async #metadata(): Promise<Metadata> {
    const metadata = new Metadata();
    metadata.set("hasleader", "true");
    const { credentials } = this.#options;
    if (credentials === undefined) return metadata;
    this.#token ??= this.#authenticate(credentials);
    try {
      const token = await this.#token;
      if (token !== undefined) metadata.set("token", token);
      return metadata;
    } catch (error) {
      this.#token = undefined;
      throw error;
    }
  }

  async #authenticate({ user, password }: Credentials): Promise<string | undefined> {
    try {
      return (await this.#unary(AUTHENTICATE, { name: user, password }, new Metadata())).token;
    } catch (error) {
      // A cluster that asks for no password takes everybody, those with one included (as etcd's own client does).
      if (isPillionError(error) && /authentication is not enabled/.test(error.message)) return undefined;
      throw error;
    }
  }

  #timedOut(): PillionError {
    return this.#unavailable(`no answer within ${CALL_MS / 1000} s`);
  }

  #unavailable(problem: string): PillionError {
    return pillionError("PILLION_REGISTRY_UNAVAILABLE", { endpoint: this.endpoint, problem });
  }

  #errorOf(error: ServiceError, operation: string): PillionError {
    const problem = shorten(error.details);
    const grpcCode = error.code;
    if (isTokenProblem(problem)) return pillionError("PILLION_REGISTRY_AUTH", { problem, grpcCode }, error);
    switch (error.code) {
      case status.UNAVAILABLE:
      case status.DEADLINE_EXCEEDED:
      case status.CANCELLED:
      case status.INTERNAL:
      case status.UNKNOWN:
        return pillionError("PILLION_REGISTRY_UNAVAILABLE", { endpoint: this.endpoint, problem, grpcCode }, error);
      case status.UNAUTHENTICATED:
      case status.PERMISSION_DENIED:
        return pillionError("PILLION_REGISTRY_AUTH", { problem, grpcCode }, error);
      case status.OUT_OF_RANGE:
        return pillionError("PILLION_REGISTRY_COMPACTED", { revision: "asked for", oldest: problem, grpcCode }, error);
      default:
        return pillionError("PILLION_REGISTRY_REFUSED", { operation, problem, grpcCode }, error);
    }
  }
}

/** What stands around the reason in etcd's and grpc-js's messages is of no use to an operator. */
function shorten(details: string): string {
  return details
    .replace(/^etcdserver: /, "")
    .replace(/^No connection established\. Last error: (Error: )?/, "")
    .replace(/\.? ?Resolution note: ?$/, "");
}

/** etcd's words for a caller without rights, sent as INVALID_ARGUMENT (etcd api/v3rpc/rpctypes/error.go). */
function isTokenProblem(problem: string): boolean {
  return /user name is empty|authentication failed|user name not found|auth token|auth store is old/.test(problem);
}

/** The token is too old, or etcd was restarted; a new one will do. */
function isTokenRefused(error: unknown): boolean {
  return isPillionError(error, "PILLION_REGISTRY_AUTH") && /invalid auth token|auth store is old/.test(error.message);
}
