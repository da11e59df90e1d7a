// The cluster: one session at a time, to the first member that really answers.
//
// A member counts as answering when it has served a read that needs the whole cluster, with our rights. When a session
// fails, the next one begins at the next member. Nothing is retried behind the caller's back: a read may be repeated
// by whoever made it, a transaction may not, and only the caller knows which it was.

import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { type ChannelCredentials, credentials as grpcCredentials } from "@grpc/grpc-js";
import { type Address, type Clock, isPillionError, messageOf, pillionError } from "../../base/index.ts";
import { type Method, RANGE } from "./rpc.ts";
import { type Credentials, createSession, type Session } from "./session.ts";

export interface TlsFiles {
  /** Certificates to trust; `undefined`: the system's. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface EtcdClientOptions {
  readonly endpoints: readonly Address[];
  /** `undefined`: cleartext. */
  readonly tls: TlsFiles | undefined;
  readonly credentials: Credentials | undefined;
  /** A key that we may read: the probe of a new session. */
  readonly probeKey: string;
  readonly clock: Clock;
}

/** What a new session's first read told about the store. */
export interface StoreSeen {
  readonly clusterId: string;
  readonly revision: number;
}

export interface OpenSession {
  readonly session: Session;
  readonly store: StoreSeen;
}

export interface EtcdClient {
  /** The session in use, or a new one; throws when no member answers. */
  open(): Promise<OpenSession>;
  /** One procedure on the session in use. No answer ends the session; an answer that is a refusal does not. */
  call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response>;
  /** Ends a session that is no good; the next one is opened at the next member. */
  fail(session: Session): void;
  close(): void;
}

/** Makes a client; nothing is connected before the first call. */
export function createEtcdClient(options: EtcdClientOptions): EtcdClient {
  return new ClusterClient(options);
}

class ClusterClient implements EtcdClient {
  readonly #options: EtcdClientOptions;
  #current: OpenSession | undefined;
  #opening: Promise<OpenSession> | undefined;
  #nextEndpoint = 0;
  #isClosed = false;

  constructor(options: EtcdClientOptions) {
    this.#options = options;
  }

  async open(): Promise<OpenSession> {
    if (this.#current !== undefined) return this.#current;
    // Watch, lease and commands may ask at once; they get the same session.
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    const { session } = await this.open();
    try {
      return await session.call(method, request);
    } catch (error) {
      if (isPillionError(error, "PILLION_REGISTRY_UNAVAILABLE")) this.fail(session);
      throw error;
    }
  }

  fail(session: Session): void {
    if (this.#current?.session === session) this.#current = undefined;
    session.close();
  }

  close(): void {
    this.#isClosed = true;
    this.#current?.session.close();
    this.#current = undefined;
  }

  async #connect(): Promise<OpenSession> {
    const { endpoints, clock, credentials } = this.#options;
    const files = await this.#readTlsFiles();
    const problems: string[] = [];
    for (let tries = 0; tries < endpoints.length; tries += 1) {
      if (this.#isClosed) throw pillionError("PILLION_REGISTRY_STOPPED", {});
      const endpoint = endpoints[this.#nextEndpoint % endpoints.length]!;
      this.#nextEndpoint += 1;
      const channel = channelCredentialsOf(endpoint, files);
      const session = createSession({ endpoint, channel, credentials, clock });
      try {
        const store = await this.#probe(session);
        if (this.#isClosed) throw pillionError("PILLION_REGISTRY_STOPPED", {});
        this.#current = { session, store };
        return this.#current;
      } catch (error) {
        session.close();
        // Wrong rights are wrong at every member; another one would only hide the message.
        if (!isPillionError(error, "PILLION_REGISTRY_UNAVAILABLE")) throw error;
        problems.push(`${session.endpoint}: ${String(error.details.problem)}`);
      }
    }
    const details = { endpoint: endpoints.length === 1 ? "1 endpoint" : `${endpoints.length} endpoints` };
    throw pillionError("PILLION_REGISTRY_UNAVAILABLE", { ...details, problem: problems.join("; ") });
  }

  async #probe(session: Session): Promise<StoreSeen> {
    const request = { key: Buffer.from(this.#options.probeKey), keys_only: true, limit: 1 };
    const { header } = await session.call(RANGE, request);
    return { clusterId: header.cluster_id, revision: Number(header.revision) };
  }

  /** Read for every new session: certificates are renewed while we run. */
  async #readTlsFiles(): Promise<TlsTexts | undefined> {
    const { tls } = this.#options;
    if (tls === undefined) return undefined;
    const [ca, key, cert] = await Promise.all([tls.ca, tls.key, tls.cert].map(readOptional));
    return { ca, key, cert };
  }
}

interface TlsTexts {
  readonly ca: Buffer | undefined;
  readonly key: Buffer | undefined;
  readonly cert: Buffer | undefined;
}

function channelCredentialsOf({ host }: Address, files: TlsTexts | undefined): ChannelCredentials {
  if (files === undefined) return grpcCredentials.createInsecure();
  const { ca, key, cert } = files;
  // An address is judged by the certificate's addresses; session.ts says why grpc-js would judge another name.
  const verify = isIP(host) === 0 ? {} : { checkServerIdentity: judgeAddress(host) };
  return grpcCredentials.createSsl(ca ?? null, key ?? null, cert ?? null, verify);
}

function judgeAddress(host: string): (name: string, certificate: PeerCertificate) => Error | undefined {
  return (_, certificate) => checkServerIdentity(host, certificate);
}

async function readOptional(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    throw pillionError("PILLION_FILE_READ", { path, problem: messageOf(error) }, error);
  }
}
