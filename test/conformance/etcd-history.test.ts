// Whatever happens, the picture ends where etcd ends.
//
// A random history of writes, deletions, compactions, cut and held wires, restarts of the watch and registrations is
// played against a real etcd; afterwards, within a bounded time, the picture must equal what a list of etcd says. One
// seed is one history: PILLION_SEED=<n> replays it, PILLION_RUNS=<n> plays more of them.

import { expect, test } from "vitest";
import { createRandom, type Random } from "../../src/base/index.ts";
import { formatKey, parseKey } from "../../src/config/index.ts";
import { listRanges, prefixRange } from "../../src/discovery/etcd/listing.ts";
import type { Registry } from "../../src/discovery/index.ts";
import { type Etcd, putKeys, startEtcd } from "../support/etcd.ts";
import { requireProgram } from "../support/programs.ts";
import { idsOf, openEtcdRegistry } from "../support/registries.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const SERVICES = ["a", "b", "c"];
const STEPS = 120;

interface World {
  readonly etcd: Etcd;
  readonly wire: TcpProxy;
  readonly registry: Registry;
  readonly prefix: string;
  readonly random: Random;
}

/** One step of a history; each leaves the world in a state from which every other may follow. */
const STEPS_BY_NAME: Readonly<Record<string, (world: World) => Promise<void> | void>> = {
  putInstance: async ({ etcd, prefix, random }) => {
    await putKeys(etcd.client, { [instanceKey(prefix, random)]: documentOf(random) });
  },
  putMany: async ({ etcd, prefix, random }) => {
    const entries = Array.from({ length: 10 }, () => [instanceKey(prefix, random), documentOf(random)]);
    await putKeys(etcd.client, Object.fromEntries(entries) as Record<string, string>);
  },
  deleteInstance: async ({ etcd, prefix, random }) => {
    await putKeys(etcd.client, { [instanceKey(prefix, random)]: undefined });
  },
  changeService: async ({ etcd, prefix, random }) => {
    const name = SERVICES[random.below(SERVICES.length)]!;
    const value =
      random.below(3) === 0 ? undefined : JSON.stringify({ timeout: { connect: `${1 + random.below(50)}s` } });
    await putKeys(etcd.client, { [formatKey(prefix, { kind: "service", name })]: value });
  },
  changeRoute: async ({ etcd, prefix, random }) => {
    const service = SERVICES[random.below(SERVICES.length)]!;
    const value = random.below(3) === 0 ? undefined : JSON.stringify({ rules: [{ to: [{ service }] }] });
    await putKeys(etcd.client, { [formatKey(prefix, { kind: "route", name: "r" })]: value });
  },
  want: ({ registry, random }) => void registry.want(SERVICES[random.below(SERVICES.length)]!).catch(() => undefined),
  cut: ({ wire }) => wire.cut(),
  hold: ({ wire }) => wire.hold(),
  heal: ({ wire }) => wire.heal(),
  compact: async ({ etcd }) => {
    const { revision } = await listRanges(etcd.client, [prefixRange("/nothing/")], undefined);
    await etcd.compact(revision).catch((error: Error) => {
      // Twice at one revision is not a fault.
      if (!/compacted/.test(error.message)) throw error;
    });
  },
  pause: async ({ random }) => void (await new Promise((resolve) => setTimeout(resolve, random.below(40)))),
};

/** How often each step comes; wires heal more often than they break, or nothing would be seen. */
const WEIGHTS: Readonly<Record<string, number>> = {
  putInstance: 10,
  putMany: 4,
  deleteInstance: 8,
  changeService: 4,
  changeRoute: 4,
  want: 2,
  cut: 2,
  hold: 1,
  heal: 6,
  compact: 3,
  pause: 10,
};

function instanceKey(prefix: string, random: Random): string {
  const service = SERVICES[random.below(SERVICES.length)]!;
  return formatKey(prefix, { kind: "instance", service, name: `i${random.below(12)}` });
}

function documentOf(random: Random): string {
  return JSON.stringify({ address: `10.0.0.1:${1 + random.below(60_000)}`, weight: random.below(100) });
}

function stepOf(random: Random): string {
  let left = random.below(Object.values(WEIGHTS).reduce((sum, weight) => sum + weight, 0));
  for (const [name, weight] of Object.entries(WEIGHTS)) {
    left -= weight;
    if (left < 0) return name;
  }
  return "pause";
}

/** What a picture of these services must hold, by a list of etcd itself. */
async function expectedOf(etcd: Etcd, prefix: string): Promise<Record<string, unknown>> {
  const { pairs } = await listRanges(etcd.client, [prefixRange(`${prefix}/`)], undefined);
  const expected: Record<string, unknown> = {};
  for (const { key, value } of pairs) {
    const id = parseKey(prefix, key.toString());
    const document = JSON.parse(value.toString()) as {
      address?: string;
      weight?: number;
      timeout?: { connect: string };
    };
    if (id?.kind === "instance") expected[`${id.service}/${id.name}`] = `${document.address} ${document.weight}`;
    if (id?.kind === "service") expected[id.name] = document.timeout?.connect;
    if (id?.kind === "route") expected[`route ${id.name}`] = true;
  }
  return expected;
}

function seenOf(registry: Registry): Record<string, unknown> {
  const documents = registry.picture!.documents;
  const seen: Record<string, unknown> = {};
  for (const service of SERVICES) {
    for (const id of idsOf(registry.picture, service)) {
      const { address, weight } = documents.instances.get(service)!.get(id)!;
      seen[`${service}/${id}`] = `${address.host}:${address.port} ${weight}`;
    }
  }
  for (const [name, { isImplicit, policy }] of documents.services) {
    if (!isImplicit) seen[name] = `${policy.timeout.connectMs / 1000}s`;
  }
  for (const name of documents.routes.keys()) seen[`route ${name}`] = true;
  return seen;
}

async function playHistory(etcd: Etcd, seed: number): Promise<void> {
  const prefix = `/h${seed}`;
  await using wire = await startTcpProxy(etcd.address);
  const registry = openEtcdRegistry(
    { endpoints: [wire.address] },
    { prefix, timing: { watch: { progressMs: 100, silenceMs: 300, joinMs: 20 }, retryMsMax: 30 } },
  );
  const random = createRandom(seed);
  const world: World = { etcd, wire, registry, prefix, random };
  const steps: string[] = [];
  try {
    await registry.start();
    for (let count = 0; count < STEPS; count += 1) {
      const step = stepOf(random);
      steps.push(step);
      await STEPS_BY_NAME[step]!(world);
    }
    wire.heal();
    await Promise.all(SERVICES.map((service) => registry.want(service)));
    const expected = await expectedOf(etcd, prefix);
    await expect.poll(() => seenOf(registry), { timeout: 15_000 }).toEqual(expected);
  } catch (error) {
    throw new Error(`seed ${seed} (PILLION_SEED=${seed}): ${steps.join(" ")}`, { cause: error });
  } finally {
    await registry.stop();
  }
}

test("a random history ends in the picture that etcd holds", { timeout: 300_000 }, async (context) => {
  await using etcd = await startEtcd(requireProgram(context, "etcd"));
  const { PILLION_SEED: seed, PILLION_RUNS: runs = "6" } = process.env;
  const first = seed === undefined ? createRandom().below(1_000_000) : Number(seed);
  // Always the same three, and as many that nobody has seen.
  const seeds =
    seed === undefined ? [1, 2, 3, ...Array.from({ length: Number(runs) - 3 }, (_, index) => first + index)] : [first];
  for (const one of seeds) await playHistory(etcd, one);
});
