// The interception rules in force: who is led to the sidecar, and who is not. The sidecar's ports are held by servers
// that say their name, so what is tried is the rules alone.

import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { createNamespaces, type Namespaces, PEER, POD, requireNamespaces } from "../support/namespaces.ts";
import { requireProgram } from "../support/programs.ts";

const PILLION = fileURLToPath(new URL("../../bin/pillion", import.meta.url));
const APP = 65_534;
const SIDECAR = 1337;

const PLAN = [
  ...["--inbound-port", "15006", "--exclude-inbound-ports", "9090,15021"],
  ...["--exclude-outbound-ports", "22", "--exclude-outbound-cidrs", "10.90.1.7/24,fd91::/16"],
];
const WITHOUT_INBOUND = PLAN.slice(4);

const BACKENDS = [
  ["nftables", "nft"],
  ["iptables", "iptables-restore"],
  ["iptables-legacy", "iptables-legacy-restore"],
] as const;

async function startServers({ greet, peer, pod }: Namespaces): Promise<void> {
  const everywhere = (port: number, word: string) => ({ [`0.0.0.0 ${port}`]: word, [`:: ${port}`]: word });
  await Promise.all([
    greet(peer, { ...everywhere(80, "peer"), ...everywhere(22, "peer") }),
    greet(pod, {
      ...everywhere(8080, "app"),
      ...everywhere(9090, "metrics"),
      ...everywhere(15006, "inbound"),
      ...{ "127.0.0.1 15001": "outbound", "::1 15001": "outbound" },
    }),
  ]);
}

const OUTWARD = [`${PEER.ipv4} 80`, `${PEER.ipv6} 80`];
const EXCLUDED = [`${PEER.ipv4} 22`, `${PEER.ipv6} 22`, `${PEER.other} 80`];
const HOME = ["127.0.0.1 8080", "::1 8080", `${POD.ipv4} 8080`, `${POD.ipv6} 8080`];
const INWARD = [`${POD.ipv4} 8080`, `${POD.ipv6} 8080`, `${POD.ipv4} 9090`, `${POD.ipv6} 9090`, `${POD.ipv4} 15006`];

const words = (...counted: readonly (readonly [number, string])[]) =>
  counted.flatMap(([count, word]) => Array.from({ length: count }, () => word));

describe.each(BACKENDS)("%s", (backend, program) => {
  test("leads the app's connections and its callers' to the sidecar, and nobody else's", async (context) => {
    requireNamespaces(context);
    requireProgram(context, program);
    await using hosts = createNamespaces();
    const { ask, peer, pod } = hosts;
    const pillion = (verb: string, ...flags: string[]) =>
      hosts.run(pod, PILLION, ["intercept", verb, "--backend", backend, ...flags]);
    await startServers(hosts);

    expect(pillion("check", ...PLAN).code).toBe(1);
    // Twice, because a pod's init containers may run again.
    for (const _ of [1, 2]) {
      expect(pillion("setup", ...PLAN)).toMatchObject({ code: 0, output: `interception set by ${backend}\n` });
      expect(pillion("check", ...PLAN)).toMatchObject({ code: 0, errors: "" });
    }
    expect(ask(pod, APP, [...OUTWARD, ...EXCLUDED, ...HOME])).toEqual(words([2, "outbound"], [3, "peer"], [4, "app"]));
    expect(ask(pod, SIDECAR, [...OUTWARD, ...HOME])).toEqual(words([2, "peer"], [4, "app"]));
    expect(ask(peer, APP, INWARD)).toEqual(words([2, "inbound"], [2, "metrics"], [1, "inbound"]));

    expect(pillion("setup", ...WITHOUT_INBOUND).code).toBe(0);
    expect(pillion("check", ...WITHOUT_INBOUND)).toMatchObject({ code: 0, errors: "" });
    expect(pillion("check", ...PLAN)).toMatchObject({ code: 1, errors: expect.stringContaining("lacks: ") });
    expect(ask(peer, APP, INWARD)).toEqual(words([2, "app"], [2, "metrics"], [1, "inbound"]));

    for (const _ of [1, 2]) expect(pillion("teardown")).toMatchObject({ code: 0, errors: "" });
    expect(pillion("check", ...WITHOUT_INBOUND).code).toBe(1);
    expect(ask(pod, APP, OUTWARD)).toEqual(words([2, "peer"]));
  });
});

test("what one backend has set is taken out when another sets its own", async (context) => {
  requireNamespaces(context);
  requireProgram(context, "nft");
  requireProgram(context, "iptables-restore");
  await using hosts = createNamespaces();
  const pillion = (...args: string[]) => hosts.run(hosts.pod, PILLION, ["intercept", ...args]);
  expect(pillion("setup", ...PLAN, "--backend", "iptables").code).toBe(0);
  expect(pillion("setup", ...PLAN)).toMatchObject({ code: 0, output: "interception set by nftables\n" });
  expect(hosts.run(hosts.pod, "iptables-save", []).output).not.toContain("PILLION");
  expect(pillion("check", ...PLAN)).toMatchObject({ code: 0, output: "interception in force by nftables\n" });
});

test("rules of others stay as they are", async (context) => {
  requireNamespaces(context);
  requireProgram(context, "iptables-restore");
  await using hosts = createNamespaces();
  const pillion = (...args: string[]) => hosts.run(hosts.pod, PILLION, ["intercept", ...args, "--backend", "iptables"]);
  const others = "*nat\n:OTHERS - [0:0]\n-A OUTPUT -p udp -j OTHERS\n-A OTHERS -d 10.9.9.9/32 -j RETURN\nCOMMIT\n";
  expect(hosts.run(hosts.pod, "iptables-restore", [], others).code).toBe(0);
  const rulesOf = () =>
    hosts
      .run(hosts.pod, "iptables-save", [])
      .output.split("\n")
      .filter((line) => /^-A/.test(line));
  const before = rulesOf();
  pillion("setup", ...PLAN);
  expect(rulesOf()).toEqual(expect.arrayContaining(before));
  pillion("teardown");
  expect(rulesOf()).toEqual(before);
});

test("without NET_ADMIN it says so", async (context) => {
  requireNamespaces(context);
  requireProgram(context, "setpriv");
  await using hosts = createNamespaces();
  const drop = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--"];
  const { code, errors } = hosts.run(hosts.pod, "setpriv", [...drop, PILLION, "intercept", "setup", ...PLAN]);
  expect(errors).toContain("NET_ADMIN");
  expect(code).toBe(1);
});
