// Keeps one instance registered: a key on a lease, for as long as its owner lives.
//
//              grant, put                 renewed every 5 s
//   pending ───────────────► registered ◄───────────────────┐
//      ▲  ▲                      │  └──────────────────────►─┘
//      │  └── lease gone ────────┤   (not found, TTL ≤ 0, or no renewal for a whole TTL)
//      │                         │ stop
//      └── taken (somebody       ▼
//          else has the id)   stopped: lease revoked, key gone
//
// Rule 1: the key is written only where nothing is, or where what is there is ours: on our lease, or on another lease
//         with the same address (ourselves, before a restart: nobody else can listen there). What an operator wrote
//         without a lease is the operator's.
// Rule 2: a lease is over when a whole TTL has passed since the last renewal was *sent*, by the monotonic clock.
//         Whether etcd thinks so too does not matter: a lease too many expires by itself.
// Rule 3: now and then the key is looked at. A lease may be alive and its key deleted.

import { type Backoff, type Clock, createBackoff, isPillionError, messageOf, type Random } from "../../base/index.ts";
import { formatKey, type InstanceDocument } from "../../config/index.ts";
import type { Registration, RegistrationRequest, RegistrationState } from "../registry.ts";
import type { EtcdClient } from "./client.ts";
import { LEASE_GRANT, LEASE_REVOKE, TXN } from "./rpc.ts";
import { CALL_MS } from "./session.ts";

export interface LeaseTiming {
  readonly ttlSeconds: number;
  readonly renewMs: number;
  /** Every how many renewals the key is looked at. */
  readonly verifyEvery: number;
}

/** Three renewals in a TTL, and a TTL three times the longest pause of a process that is to be forgiven. */
export const LEASE_TIMING: LeaseTiming = { ttlSeconds: 15, renewMs: 5000, verifyEvery: 3 };

/** Well within the TTL, so that a short outage costs no registration. */
const RETRY_BASE_MS = 250;
const RETRY_MAX_MS = 3000;

export interface LeaseOptions {
  readonly client: EtcdClient;
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly timing: LeaseTiming;
  readonly onState: (state: RegistrationState, problem: string | undefined) => void;
}

/** Starts to keep an instance registered. */
export function startRegistration(options: LeaseOptions, request: RegistrationRequest): Registration {
  return new LeasedRegistration(options, request);
}

interface Lease {
  readonly id: string;
  /** When the last renewal that etcd confirmed was sent. */
  renewedMs: number;
}

class LeasedRegistration implements Registration {
  readonly #options: LeaseOptions;
  readonly #key: Buffer;
  readonly #backoff: Backoff;
  readonly #stopped = new AbortController();
  readonly #loop: Promise<void>;
  #wake = new AbortController();
  #document: InstanceDocument;
  #lease: Lease | undefined;
  /** The document that etcd has; not equal to `#document` while an update is under way. */
  #written: InstanceDocument | undefined;
  #renewals = 0;
  #waiting: ((isWritten: boolean) => void)[] = [];
  #state: RegistrationState = "pending";

  constructor(options: LeaseOptions, { service, id, document }: RegistrationRequest) {
    this.#options = options;
    this.#document = document;
    this.#key = Buffer.from(formatKey(options.prefix, { kind: "instance", service, name: id }));
    this.#backoff = createBackoff({ baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS, random: options.random });
    this.#loop = this.#run();
  }

  get state(): RegistrationState {
    return this.#state;
  }

  async update(fields: Partial<InstanceDocument>): Promise<boolean> {
    if (this.#stopped.signal.aborted) return false;
    this.#document = { ...this.#document, ...fields };
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.push(resolve);
    const timer = this.#options.clock.after(CALL_MS, () => resolve(false));
    this.#wake.abort();
    const isWritten = await promise;
    timer.cancel();
    return isWritten;
  }

  async stop(): Promise<void> {
    if (!this.#stopped.signal.aborted) {
      this.#stopped.abort();
      this.#wake.abort();
    }
    // A step that hangs on several members in turn must not hold up the end of the process.
    const ended = new AbortController();
    void this.#loop.finally(() => ended.abort());
    await this.#options.clock.sleep(2 * CALL_MS, ended.signal);
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      let pauseMs = this.#options.timing.renewMs;
      try {
        await this.#step();
        this.#backoff.reset();
      } catch (error) {
        pauseMs = this.#handleFailure(error);
      }
      await this.#options.clock.sleep(pauseMs, this.#wake.signal);
      if (!this.#stopped.signal.aborted) this.#wake = new AbortController();
    }
    await this.#withdraw();
  }

  /** Brings etcd one step nearer to what it should hold. */
  async #step(): Promise<void> {
    const { clock, timing } = this.#options;
    this.#forgetIfOverdue();
    let isVerified = true;
    if (this.#lease !== undefined && clock.nowMs() - this.#lease.renewedMs >= timing.renewMs / 2) {
      await this.#renew(this.#lease);
      this.#renewals += 1;
      isVerified = this.#renewals % timing.verifyEvery !== 0;
    }
    // The renewal may have told that the lease is gone; then everything begins anew at once.
    const lease = this.#lease ?? (await this.#grant());
    if (this.#written !== this.#document || !isVerified) await this.#write(lease);
  }

  async #grant(): Promise<Lease> {
    const sentMs = this.#options.clock.nowMs();
    const { ID } = await this.#options.client.call(LEASE_GRANT, { TTL: this.#options.timing.ttlSeconds, ID: 0 });
    this.#written = undefined;
    this.#lease = { id: ID, renewedMs: sentMs };
    return this.#lease;
  }

  async #renew(lease: Lease): Promise<void> {
    const sentMs = this.#options.clock.nowMs();
    const { session } = await this.#options.client.open();
    try {
      const leftSeconds = await session.keepAlive(lease.id);
      if (leftSeconds > 0) lease.renewedMs = sentMs;
      else this.#lose("the lease has ended");
    } catch (error) {
      if (isLeaseMissing(error)) {
        this.#lose("etcd does not know the lease any more");
        return;
      }
      if (isPillionError(error, "PILLION_REGISTRY_UNAVAILABLE")) this.#options.client.fail(session);
      throw error;
    }
  }

  #forgetIfOverdue(): void {
    const { clock, timing } = this.#options;
    if (this.#lease === undefined || clock.nowMs() - this.#lease.renewedMs < timing.ttlSeconds * 1000) return;
    this.#lose(`not renewed for ${timing.ttlSeconds} s`);
  }

  #lose(problem: string): void {
    this.#lease = undefined;
    this.#written = undefined;
    this.#setState("pending", problem);
  }

  /** Creates the key, or replaces what is ours; a key that is as it should be is left alone. */
  async #write(lease: Lease): Promise<void> {
    const document = this.#document;
    const value = Buffer.from(JSON.stringify(document));
    const put = { request_put: { key: this.#key, value, lease: lease.id } };
    const read = { request_range: { key: this.#key } };
    let expected = "0";
    // Once for the key that is not there, once for the one that is, and once more if it changed in between.
    for (let tries = 0; tries < 3; tries += 1) {
      const compare = [{ key: this.#key, target: "Mod", result: "Equal", mod_revision: expected } as const];
      const { succeeded, responses } = await this.#options.client.call(TXN, {
        compare,
        success: [put],
        failure: [read],
      });
      if (succeeded) return this.#confirm(document);
      const found = responses[0]?.response_range.kvs[0];
      if (found !== undefined && found.lease === lease.id && found.value.equals(value)) return this.#confirm(document);
      if (found !== undefined && found.lease !== lease.id && !this.#isOurs(found.lease, found.value)) {
        this.#setState("taken", found.lease === "0" ? "written by the operator" : "held by another sidecar");
        return;
      }
      expected = found?.mod_revision ?? "0";
    }
    this.#setState("pending", "the key changes faster than it can be written");
  }

  #isOurs(leaseId: string, value: Buffer): boolean {
    if (leaseId === "0") return false;
    try {
      return (JSON.parse(value.toString()) as { address?: unknown }).address === this.#document.address;
    } catch {
      return false;
    }
  }

  #confirm(document: InstanceDocument): void {
    this.#written = document;
    this.#setState("registered", undefined);
    if (document !== this.#document) return;
    for (const resolve of this.#waiting.splice(0)) resolve(true);
  }

  #handleFailure(error: unknown): number {
    if (isLeaseMissing(error)) this.#lose("etcd does not know the lease any more");
    if (this.#state === "pending") this.#options.onState("pending", messageOf(error));
    return this.#backoff.nextMs();
  }

  /** Revoking the lease deletes the key with it; where etcd does not answer, the lease runs out by itself. */
  async #withdraw(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve(false);
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease !== undefined) {
      const done = new AbortController();
      const settle = () => done.abort();
      void this.#options.client.call(LEASE_REVOKE, { ID: lease.id }).then(settle, settle);
      await this.#options.clock.sleep(CALL_MS, done.signal);
    }
    this.#setState("stopped", undefined);
  }

  #setState(state: RegistrationState, problem: string | undefined): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onState(state, problem);
  }
}

/** etcd's words for it (api/v3rpc/rpctypes/error.go, ErrGRPCLeaseNotFound). */
function isLeaseMissing(error: unknown): boolean {
  return isPillionError(error, "PILLION_REGISTRY_REFUSED") && /requested lease not found/.test(error.message);
}
