// The rules for iptables-restore and ip6tables-restore: the `nat` table, two chains of our own, one jump into each.
//
// Written in the order and spelling in which iptables-save prints them, so that `check` can compare. A restore is one
// transaction: `:CHAIN -` empties a chain of ours that exists, and the jumps that are there are taken out in the same
// transaction that adds them, so setting up again changes nothing and leaves no moment without rules.

import { drawPath, inboundSteps, outboundSteps, type Plan, type Step } from "./plan.ts";

const INBOUND = "PILLION_INBOUND";
const OUTBOUND = "PILLION_OUTBOUND";
/** A line of iptables-save that is a jump into one of our chains. */
const JUMP = /^-A ((?:PREROUTING|OUTPUT) .*-j PILLION_(?:INBOUND|OUTBOUND))$/;
/** One that belongs to one of our chains. */
const OWN = /^(?::|-A )(PILLION_(?:INBOUND|OUTBOUND)) /;

/** The rules alone, as iptables-save prints them. */
export function formatIptablesRules(plan: Plan, family: 4 | 6): readonly string[] {
  const inbound = inboundSteps(plan);
  return [
    // Only what is for this host itself: a host that forwards (containers behind it) forwards on.
    ...(inbound === undefined ? [] : [`-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -j ${INBOUND}`]),
    `-A OUTPUT -p tcp -j ${OUTBOUND}`,
    ...(inbound ?? []).flatMap((step) => formatStep(step, family)).map((rule) => `-A ${INBOUND} ${rule}`),
    ...outboundSteps(plan)
      .flatMap((step) => formatStep(step, family))
      .map((rule) => `-A ${OUTBOUND} ${rule}`),
  ];
}

/** What `iptables-restore --noflush` takes; `saved` is what iptables-save printed before. */
export function formatIptables(plan: Plan, family: 4 | 6, saved = ""): string {
  const chains = inboundSteps(plan) === undefined ? [OUTBOUND] : [INBOUND, OUTBOUND];
  const stale = ownChains(saved).filter((chain) => !chains.includes(chain));
  return [
    `# Pillion's interception of ${family === 4 ? "IPv4" : "IPv6"} connections, for ${
      family === 4 ? "iptables" : "ip6tables"
    }-restore --noflush.`,
    "#",
    drawPath(plan),
    "*nat",
    ...[...chains, ...stale].map((chain) => `:${chain} - [0:0]`),
    ...jumps(saved).map((jump) => `-D ${jump}`),
    ...stale.map((chain) => `-X ${chain}`),
    ...formatIptablesRules(plan, family),
    "COMMIT",
    "",
  ].join("\n");
}

/** What takes everything of ours out again; undefined: nothing is there. */
export function formatIptablesTeardown(saved: string): string | undefined {
  const chains = ownChains(saved);
  if (chains.length === 0) return undefined;
  return [
    "*nat",
    ...chains.map((chain) => `:${chain} - [0:0]`),
    ...jumps(saved).map((jump) => `-D ${jump}`),
    ...chains.map((chain) => `-X ${chain}`),
    "COMMIT",
    "",
  ].join("\n");
}

/** The rules of ours among those in force. */
export function ownIptablesRules(saved: string): readonly string[] {
  return saved.split("\n").filter((line) => JUMP.test(line) || (line.startsWith("-A ") && OWN.test(line)));
}

function ownChains(saved: string): string[] {
  return saved.split("\n").flatMap((line) => (line.startsWith(":") ? (OWN.exec(line)?.slice(1, 2) ?? []) : []));
}

function jumps(saved: string): string[] {
  return saved.split("\n").flatMap((line) => JUMP.exec(line)?.slice(1, 2) ?? []);
}

/** The rule of a step, if it concerns this family. */
function formatStep(step: Step, family: 4 | 6): readonly string[] {
  switch (step.kind) {
    case "uid":
      return [`-m owner --uid-owner ${step.uid} -j RETURN`];
    case "in-loopback":
      return ["-i lo -j RETURN"];
    case "out-loopback":
      return ["-o lo -j RETURN"];
    case "network": {
      const { network } = step;
      if (network.family !== family) return [];
      // "Everything" is printed as no condition at all.
      return [network.prefix === 0 ? "-j RETURN" : `-d ${network.address}/${network.prefix} -j RETURN`];
    }
    case "port":
      return [`-p tcp -m tcp --dport ${step.port} -j RETURN`];
    case "redirect":
      return [`-p tcp -j REDIRECT --to-ports ${step.port}`];
  }
}
