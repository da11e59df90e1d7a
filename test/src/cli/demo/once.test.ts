// The judgement of `pillion demo --once`: it must see what is wrong, or it is worth nothing.
//
// The clients are made up here, so that a policy can be exactly as bad as a test wants it.

import { expect, test } from "vitest";
import type { DemoClients } from "../../../../src/cli/demo/clients.ts";
import { runOnce, type Verdict } from "../../../../src/cli/demo/once.ts";

/** Clients that answer as a perfect mesh would; a test replaces what it wants to be bad. */
function createPerfectClients(): DemoClients {
  const counters = new Map<string, number>();
  const next = (service: string) => {
    const count = counters.get(service) ?? 0;
    counters.set(service, count + 1);
    return count;
  };
  const greeter = (service: string) => `greeter-${(next(service) % 3) + 1}`;
  const weighted = (service: string) => {
    const place = next(service) % 9;
    return `greeter-${place < 5 ? 1 : place < 8 ? 2 : 3}`;
  };
  const hashed = (user: string) => `greeter-${(Number(user.replace(/\D/g, "")) % 3) + 1}`;
  return {
    async sayHello(service, user = "") {
      if (service === "weighted") return weighted(service);
      return service === "ring-hash" ? hashed(user) : greeter(service);
    },
    streamHello: async () => greeter("stream"),
    chatHello: async () => greeter("chat"),
    openChat: (service) => ({ answered: Promise.resolve(greeter(service)), end: async () => undefined }),
    useAccount: async () => ["users-1", "users-2", "users-1"],
    sendHttp1: async () => `web-${(next("web") % 2) + 1}`,
    sendHttp2: async () => `web-${(next("web") % 2) + 1}`,
    close: async () => undefined,
  };
}

async function badOnes(clients: DemoClients): Promise<string[]> {
  const verdicts: Verdict[] = [];
  expect(await runOnce(clients, (verdict) => verdicts.push(verdict))).toEqual(verdicts);
  expect(verdicts).toHaveLength(12);
  return verdicts.filter(({ isGood }) => !isGood).map(({ name }) => name);
}

test("a perfect mesh has nothing to be said against it", async () => {
  expect(await badOnes(createPerfectClients())).toEqual([]);
});

test("one failed call is seen, and how it failed", async () => {
  const clients = createPerfectClients();
  let calls = 0;
  clients.sendHttp1 = async () => {
    calls += 1;
    if (calls === 7) throw new Error("503 connect-failed");
    return `web-${(calls % 2) + 1}`;
  };
  const verdicts = await runOnce(clients, () => undefined);
  const bad = verdicts.filter(({ isGood }) => !isGood);
  expect(bad).toMatchObject([{ name: "web: HTTP/1.1", failed: 1, problem: "503 connect-failed" }]);
});

test.each([
  ["round-robin", (call: number) => `greeter-${call === 0 ? 2 : (call % 3) + 1}`],
  ["weighted", (call: number) => `greeter-${(call % 3) + 1}`],
  ["random", (call: number) => `greeter-${call % 4 === 0 ? 3 : (call % 2) + 1}`],
  ["ring-hash", (call: number) => `greeter-${(call % 7) % 3 === 0 ? 1 : (call % 2) + 2}`],
  ["adaptive", (call: number) => `greeter-${call === 0 ? 3 : (call % 2) + 1}`],
] as const)("%s with shares that are off", async (service, choose) => {
  const clients = createPerfectClients();
  const { sayHello } = clients;
  let call = 0;
  clients.sayHello = async (name, user) => {
    if (name !== service) return sayHello(name, user);
    call += 1;
    return choose(call - 1);
  };
  expect(await badOnes(clients)).toEqual([service === "weighted" ? "weighted-round-robin" : service]);
});

test("an instance that nobody reaches is seen", async () => {
  const clients = createPerfectClients();
  clients.openChat = () => ({ answered: Promise.resolve("greeter-1"), end: async () => undefined });
  expect(await badOnes(clients)).toEqual(["least-connections"]);
});
