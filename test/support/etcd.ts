// A real etcd for tests: one member on loopback, in a folder of its own, on ports that nobody else has.
//
//   await using etcd = await startEtcd(requireProgram(context, "etcd"));
//   etcd.address; await etcd.kill(); await etcd.start();
//
// Ports are taken beforehand, because a member must come back under the same address after it was killed.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ICompactionRequest } from "etcd3";
import { type Address, parseAddress, systemClock } from "../../src/base/index.ts";
import { createEtcdClient, type EtcdClient } from "../../src/discovery/etcd/client.ts";
import { method, TXN } from "../../src/discovery/etcd/rpc.ts";
import { closedAddress } from "./ports.ts";
import { type Program, startProgram, waitUntil } from "./process.ts";

const COMPACT = method<ICompactionRequest, object>("KV", "Compact");

export interface EtcdFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface EtcdOptions {
  /** Serve TLS with these files, and accept only clients with a certificate of the same authority. */
  readonly tls?: EtcdFiles;
}

export interface Etcd extends AsyncDisposable {
  readonly address: Address;
  /** Its own folder; gone with it. */
  readonly folder: string;
  /** A client without user and password, for the test's own reading and writing. */
  readonly client: EtcdClient;
  /** Starts it again after `kill`. */
  start(): Promise<void>;
  /** SIGKILL: nothing is flushed, nobody is told. */
  kill(): Promise<void>;
  /** Throws away the history before `revision`. */
  compact(revision: number): Promise<void>;
  /** Stops it from running at all, and lets it run again: a member that is there and never answers. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
}

/** Starts an etcd and waits until it answers. */
export async function startEtcd(program: string, { tls }: EtcdOptions = {}): Promise<Etcd> {
  const folder = await mkdtemp(join(tmpdir(), "pillion-etcd-"));
  const [clientAddress, peerAddress] = [await closedAddress(), await closedAddress()];
  const parsed = parseAddress(clientAddress);
  if (!parsed.ok) throw new Error(parsed.problem);
  const clientUrl = `${tls === undefined ? "http" : "https"}://${clientAddress}`;
  const args = [
    ...["--data-dir", join(folder, "data"), "--name", "t", "--log-level", "error"],
    ...["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
    ...["--listen-peer-urls", `http://${peerAddress}`, "--initial-advertise-peer-urls", `http://${peerAddress}`],
    ...["--initial-cluster", `t=http://${peerAddress}`],
    ...(tls === undefined
      ? []
      : ["--cert-file", tls.cert, "--key-file", tls.key, "--trusted-ca-file", tls.ca, "--client-cert-auth"]),
  ];
  const newClient = () =>
    createEtcdClient({
      endpoints: [parsed.value],
      tls,
      credentials: undefined,
      probeKey: "/",
      clock: systemClock,
    });
  let client = newClient();
  let running: Program | undefined;
  const start = async () => {
    running = startProgram(program, args, { env: { ETCD_UNSUPPORTED_ARCH: process.arch } });
    // Refused is not there yet; any other answer, one about rights included, is an answer.
    await waitUntil("etcd answers", async () => {
      client.close();
      client = newClient();
      return client.open().then(
        () => true,
        (error: { code?: string }) => error.code !== "PILLION_REGISTRY_UNAVAILABLE",
      );
    });
  };
  const kill = async () => {
    running?.signal("SIGKILL");
    await running?.ended;
    running = undefined;
  };
  await start().catch(async (error: unknown) => {
    await kill();
    throw error;
  });
  return {
    address: parsed.value,
    folder,
    get client() {
      return client;
    },
    start,
    kill,
    compact: async (revision) => void (await client.call(COMPACT, { revision, physical: true })),
    signal: (signal) => running?.signal(signal),
    async [Symbol.asyncDispose]() {
      client.close();
      running?.signal("SIGCONT");
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Writes keys (a text) and deletes keys (`undefined`) in one transaction. */
export async function putKeys(
  client: EtcdClient,
  values: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const success = Object.entries(values).map(([key, value]) =>
    value === undefined
      ? { request_delete_range: { key: Buffer.from(key) } }
      : { request_put: { key: Buffer.from(key), value: Buffer.from(value) } },
  );
  const { header } = await client.call(TXN, { compare: [], success, failure: [] });
  return Number(header.revision);
}
