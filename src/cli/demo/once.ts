// `pillion demo --once`: a fixed number of requests by service and by policy, and a judgement on each.
//
// A service is good when every call succeeded; a policy when its shares are what it promises as well: exactly, where
// it counts (round-robin, weighted, least-connections), within five standard deviations, where it draws (random).

import { messageOf } from "../../base/index.ts";
import type { DemoClients } from "./clients.ts";
import { WEIGHTS } from "./plan.ts";

/** What came of one batch of calls. */
export interface Verdict {
  readonly name: string;
  readonly calls: number;
  readonly failed: number;
  /** Calls by instance, in order of the instances' names. */
  readonly shares: Readonly<Record<string, number>>;
  /** What the shares should be, in words. */
  readonly expected: string;
  readonly isGood: boolean;
  /** The first failure, if any. */
  readonly problem: string | undefined;
}

/** Calls of one batch; divisible by the sum of WEIGHTS and by the number of instances, so that shares can be exact. */
const POLICY_CALLS = 450;
/** Calls at a time: enough for requests to overlap. */
const CONCURRENCY = 16;
const HASH_KEYS = 60;
const HASH_CALLS_PER_KEY = 5;
/** Calls held open at once for least-connections: equal numbers for each instance. */
const HELD_CALLS = 30;
/** 5σ: a fair draw fails once in two million runs. */
const DEVIATIONS_MAX = 5;
/** On a host with other work an instance that hiccups is left alone for a while; but nobody is forgotten. */
const ADAPTIVE_CALLS_MIN = 5;

type Shares = Readonly<Record<string, number>>;

/** Sends everything; `report` is called after each batch. */
export async function runOnce(clients: DemoClients, report: (verdict: Verdict) => void): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = [];
  const add = (verdict: Verdict) => {
    verdicts.push(verdict);
    report(verdict);
  };
  const every = "all answered";
  add(judge("greeter: unary", await send(300, () => clients.sayHello("greeter")), every, isAnswered));
  add(judge("greeter: server streaming", await send(60, () => clients.streamHello()), every, isAnswered));
  add(judge("greeter: bidirectional", await send(60, () => clients.chatHello()), every, isAnswered));
  add(judge("users: register, login, info", await sendAll(12, () => clients.useAccount()), every, isAnswered));
  add(judge("web: HTTP/1.1", await send(300, () => clients.sendHttp1()), every, isAnswered));
  add(judge("web: HTTP/2", await send(300, () => clients.sendHttp2()), every, isAnswered));
  for (const policy of [roundRobin, weighted, random, leastConnections, ringHash, adaptive]) add(await policy(clients));
  return verdicts;
}

async function roundRobin(clients: DemoClients): Promise<Verdict> {
  const outcome = await send(POLICY_CALLS, () => clients.sayHello("round-robin"));
  return judge("round-robin", outcome, "equal, exactly", equalShares);
}

async function weighted(clients: DemoClients): Promise<Verdict> {
  const outcome = await send(POLICY_CALLS, () => clients.sayHello("weighted"));
  const unit = POLICY_CALLS / WEIGHTS.reduce((sum, weight) => sum + weight, 0);
  const isExact = (shares: Shares) => `${countsOf(shares)}` === `${WEIGHTS.map((weight) => weight * unit)}`;
  return judge("weighted-round-robin", outcome, `${WEIGHTS.join(" : ")}, exactly`, isExact);
}

async function random(clients: DemoClients): Promise<Verdict> {
  const outcome = await send(POLICY_CALLS, () => clients.sayHello("random"));
  const mean = POLICY_CALLS / 3;
  const deviation = Math.sqrt(POLICY_CALLS * (1 / 3) * (2 / 3));
  const isNear = (count: number) => Math.abs(count - mean) <= DEVIATIONS_MAX * deviation;
  const bound = Math.floor(DEVIATIONS_MAX * deviation);
  return judge(
    "random",
    outcome,
    `${mean} ± ${bound}`,
    (shares) => answersOf(3)(shares) && countsOf(shares).every(isNear),
  );
}

/** Every call that is still open counts: a new one goes where the fewest are. */
async function leastConnections(clients: DemoClients): Promise<Verdict> {
  const outcome = createOutcome();
  const open: { end(): Promise<void> }[] = [];
  for (let call = 0; call < HELD_CALLS; call += 1) {
    const chat = clients.openChat("least-connections");
    open.push(chat);
    await record(outcome, async () => [await chat.answered]);
  }
  const ended = await Promise.allSettled(open.map((chat) => chat.end()));
  outcome.failed += ended.filter(({ status }) => status === "rejected").length;
  return judge("least-connections", outcome, "equal numbers held open, exactly", equalShares);
}

async function ringHash(clients: DemoClients): Promise<Verdict> {
  const outcome = createOutcome();
  const instancesOfKey = new Map<string, Set<string>>();
  for (let call = 0; call < HASH_KEYS * HASH_CALLS_PER_KEY; call += 1) {
    const key = `user-${call % HASH_KEYS}`;
    await record(outcome, async () => {
      const instance = await clients.sayHello("ring-hash", key);
      instancesOfKey.set(key, (instancesOfKey.get(key) ?? new Set()).add(instance));
      return [instance];
    });
  }
  const isSticky = () => [...instancesOfKey.values()].every((instances) => instances.size === 1);
  return judge(
    "ring-hash",
    outcome,
    `${HASH_KEYS} users, each on one instance`,
    (shares) => answersOf(3)(shares) && isSticky(),
  );
}

async function adaptive(clients: DemoClients): Promise<Verdict> {
  const outcome = await send(POLICY_CALLS, () => clients.sayHello("adaptive"));
  const isSpread = (shares: Shares) =>
    answersOf(3)(shares) && countsOf(shares).every((count) => count >= ADAPTIVE_CALLS_MIN);
  return judge("adaptive", outcome, `at least ${ADAPTIVE_CALLS_MIN} each`, isSpread);
}

interface Outcome {
  calls: number;
  failed: number;
  problem: string | undefined;
  readonly shares: Record<string, number>;
}

function createOutcome(): Outcome {
  return { calls: 0, failed: 0, problem: undefined, shares: {} };
}

/** Makes one call (which may have several answers) and notes what came of it. */
async function record(outcome: Outcome, call: () => Promise<readonly string[]>): Promise<void> {
  outcome.calls += 1;
  try {
    for (const instance of await call()) outcome.shares[instance] = (outcome.shares[instance] ?? 0) + 1;
  } catch (error) {
    outcome.failed += 1;
    outcome.problem ??= messageOf(error);
  }
}

function send(calls: number, call: () => Promise<string>): Promise<Outcome> {
  return sendAll(calls, async () => [await call()]);
}

/** Makes `calls` calls, CONCURRENCY at a time. */
async function sendAll(calls: number, call: () => Promise<readonly string[]>): Promise<Outcome> {
  const outcome = createOutcome();
  const lane = async () => {
    while (outcome.calls < calls) await record(outcome, call);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  return outcome;
}

/** Instances by name, so that shares and weights stand in one order. */
function countsOf(shares: Shares): number[] {
  return Object.keys(shares)
    .sort()
    .map((name) => shares[name] ?? 0);
}

/** The default policy serves these: who answers is its choice, and judged below. */
function isAnswered(shares: Shares): boolean {
  return countsOf(shares).length > 0;
}

function answersOf(instances: number): (shares: Shares) => boolean {
  return (shares) => countsOf(shares).length === instances;
}

function equalShares(shares: Shares): boolean {
  return answersOf(3)(shares) && new Set(countsOf(shares)).size === 1;
}

function judge(name: string, outcome: Outcome, expected: string, isAsExpected: (shares: Shares) => boolean): Verdict {
  const { calls, failed, shares, problem } = outcome;
  return { name, calls, failed, shares, expected, problem, isGood: failed === 0 && isAsExpected(shares) };
}
