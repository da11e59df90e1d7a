// The rules as text: the files of deploy/interception are what the command prints, and networks are spelled as the
// kernel's tools spell them. Whether they do what they should is test/integration/interception-rules.test.ts.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatInterception,
  type Network,
  type Plan,
  parseNetwork,
  setUpInterception,
  tearDownInterception,
} from "../../../src/interception/index.ts";
import { projectRoot } from "../../support/source.ts";

/** What injection writes for a pod with an app and no annotations. */
const PLAN: Plan = {
  inboundPort: 15006,
  outboundPort: 15001,
  uid: 1337,
  excludeInboundPorts: [15000, 15021],
  excludeOutboundPorts: [],
  excludeOutboundCidrs: [],
};

test.each(["nftables.nft", "iptables.rules", "ip6tables.rules"])("deploy/interception/%s is what is set", (name) => {
  const written = readFileSync(join(projectRoot, "deploy/interception", name), "utf8");
  expect(formatInterception(PLAN, { backend: undefined })[name]).toBe(written);
});

describe("networks", () => {
  const format = (text: string) => {
    const parsed = parseNetwork(text);
    return parsed.ok ? `${parsed.value.address}/${parsed.value.prefix}` : parsed.problem;
  };

  test.each([
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["10.1.2.3", "10.1.2.3/32"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["192.168.129.255/17", "192.168.128.0/17"],
    ["FD00:0:0::5/8", "fd00::/8"],
    ["::1", "::1/128"],
    ["::/0", "::/0"],
    ["2001:db8:0:0:1:0:0:1/113", "2001:db8:0:0:1::/113"],
    ["64:ff9b::192.0.2.33/96", "64:ff9b::/96"],
  ])("%s is %s", (text, wanted) => expect(format(text)).toBe(wanted));

  test.each(["10.0.0.0/33", "10.0.0/8", "fd00::/129", "fe80::1%eth0/64", "x", "", "1.2.3.4/", "1.2.3.4/8/8"])(
    "%s is none",
    (text) => expect(parseNetwork(text).ok).toBe(false),
  );

  test("a network is its own first address, in either family", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(128), (address, wanted) => {
        const prefix = address.includes(":") ? wanted : wanted % 33;
        const once = parseNetwork(`${address}/${prefix}`);
        expect(once.ok).toBe(true);
        const network = (once as { value: Network }).value;
        expect(parseNetwork(`${network.address}/${prefix}`)).toEqual(once);
      }),
    );
  });
});

describe("a host where it cannot be done", () => {
  const missing = (program: string) => ({ isDone: false, output: "", problem: `${program}: not installed` });

  test("has neither tool", () => {
    const { problems } = setUpInterception(PLAN, { backend: undefined, run: missing, isAdmin: true });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("nft: not installed");
    expect(problems[0]).toContain("iptables-save: not installed");
  });

  test("gives no NET_ADMIN, and then no tool is asked", () => {
    const run = (): never => {
      throw new Error("asked");
    };
    expect(setUpInterception(PLAN, { backend: undefined, run, isAdmin: false }).problems[0]).toContain("NET_ADMIN");
    expect(tearDownInterception({ backend: undefined, run, isAdmin: false }).problems[0]).toContain("NET_ADMIN");
  });
});
