// Puts pictures of the mesh in force: compile, then the steps of a publication in their order, one after the other.
//
// Pictures that arrive while one is being published wait, and of those only the last counts. A picture is in force when
// every live worker has said so; `snapshot/publication.ts` says why the order matters.

import { type Log, messageOf } from "../base/index.ts";
import type { Documents } from "../config/index.ts";
import { type Endpoint, encodeEndpoints, type Program } from "../dataplane/index.ts";
import type { RegistryPicture } from "../discovery/index.ts";
import {
  type Allocation,
  type CompiledSnapshot,
  compileSnapshot,
  type PublicationStep,
  planPublication,
  publishStep,
  type SnapshotIssue,
  type SnapshotOptions,
  settleSnapshot,
} from "../snapshot/index.ts";
import type { Balancer } from "../wasm/index.ts";

export interface PublisherOptions {
  readonly balancer: Balancer;
  readonly allocation: Allocation;
  readonly snapshot: Omit<SnapshotOptions, "revision">;
  /** Resolves when every live worker routes by the program. */
  readonly distribute: (program: Program) => Promise<void>;
  /** Called with each snapshot that is in force now. */
  readonly published?: (snapshot: CompiledSnapshot, documents: Documents) => void;
  readonly log: Log;
}

export class Publisher {
  readonly #options: PublisherOptions;
  #inForce: CompiledSnapshot | undefined;
  #next: RegistryPicture | undefined;
  #running: Promise<void> | undefined;
  #sequence = 0;
  #instanceIds: readonly (string | undefined)[] = [];
  /** Issues that were logged and still stand: each is told once. */
  #told = new Set<string>();

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Id of the instance that has a slot, or had it last; for logs. */
  instanceId(slot: number): string | undefined {
    return this.#instanceIds[slot];
  }

  /** The snapshot in force; undefined before the first. */
  get inForce(): CompiledSnapshot | undefined {
    return this.#inForce;
  }

  /** Publishes a picture; resolves when it, or a later one, is in force. */
  publish(picture: RegistryPicture): Promise<void> {
    this.#next = picture;
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        const picture = this.#next;
        if (picture === undefined) return;
        this.#next = undefined;
        await this.#publishOne(picture);
      }
    } finally {
      this.#running = undefined;
    }
  }

  async #publishOne(picture: RegistryPicture): Promise<void> {
    const { snapshot: options, allocation, distribute, log } = this.#options;
    const compiled = compileSnapshot(picture.documents, { ...options, revision: picture.revision }, allocation);
    this.#instanceIds = allocation.slots().map((holder) => holder?.id);
    this.#tell([...compiled.issues, ...compiled.warnings]);
    const plan = planPublication(this.#inForce, compiled);
    this.#carryOut(plan.before);
    await distribute(this.#programOf(compiled));
    this.#carryOut(plan.after);
    const settled = settleSnapshot(compiled);
    if (settled !== compiled) await distribute(this.#programOf(settled));
    this.#inForce = settled;
    allocation.releaseSlots();
    this.#options.published?.(settled, picture.documents);
    const { revision, bytes, instances } = settled;
    const services = compiled.services.filter(({ isPresent }) => isPresent).length;
    log.info({ revision, services, instances: instances.length, bytes: bytes.length }, "snapshot in force");
  }

  #programOf({ revision, bytes, instances, tcp }: CompiledSnapshot): Program {
    this.#sequence += 1;
    const endpoints = encodeEndpoints(instances.map(endpointOf));
    return { revision, sequence: this.#sequence, bytes, endpoints, tcp };
  }

  /** A step that cannot be taken (a full arena) leaves its set as it was; the others go on. */
  #carryOut(steps: readonly PublicationStep[]): void {
    for (const step of steps) {
      try {
        publishStep(this.#options.balancer, step);
      } catch (error) {
        this.#options.log.error({ error, step: step.kind }, messageOf(error));
      }
    }
  }

  #tell(issues: readonly SnapshotIssue[]): void {
    const told = new Set<string>();
    for (const { document, message } of issues) {
      const text = `${document}: ${message}`;
      told.add(text);
      if (!this.#told.has(text)) this.#options.log.warn({ document }, text);
    }
    this.#told = told;
  }
}

function endpointOf({ slot, generation, address }: CompiledSnapshot["instances"][number]): Endpoint {
  return { slot, generation, host: address.host, port: address.port };
}
