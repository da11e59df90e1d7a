// The rules for nft: one table of our own for both families, replaced as a whole in one transaction.
//
// Written in the spelling in which `nft -y -u -s list table` prints them (priorities and users as numbers, no
// counters), so that `check` can compare.

import { drawPath, inboundSteps, outboundSteps, type Plan, type Step } from "./plan.ts";

/** NF_IP_PRI_NAT_DST (netfilter_ipv4.h): where destinations are translated. */
const PRIORITY = -100;

/** The table alone. */
export function formatNftablesTable(plan: Plan): string {
  const inbound = inboundSteps(plan);
  const chains = [
    // Only what is for this host itself: a host that forwards (containers behind it) forwards on.
    ...(inbound === undefined
      ? []
      : [
          formatChain("prerouting", [hookOf("prerouting"), "fib daddr type local meta l4proto tcp jump inbound"]),
          formatChain("inbound", inbound.map(formatStep)),
        ]),
    formatChain("output", [hookOf("output"), "meta l4proto tcp jump outbound"]),
    formatChain("outbound", outboundSteps(plan).map(formatStep)),
  ];
  return `table inet pillion {\n${chains.join("\n\n")}\n}\n`;
}

/** What `nft -f -` takes. */
export function formatNftables(plan: Plan): string {
  return [
    "# Pillion's interception of IPv4 and IPv6 connections, for nft -f.",
    "#",
    drawPath(plan),
    "#",
    "# The table is made, so that it can be deleted, so that what follows replaces it: one transaction.",
    "table inet pillion",
    NFTABLES_TEARDOWN.trimEnd(),
    formatNftablesTable(plan),
  ].join("\n");
}

/** What takes the table out; it has to be there. */
export const NFTABLES_TEARDOWN = "delete table inet pillion\n";

function hookOf(hook: string): string {
  return `type nat hook ${hook} priority ${PRIORITY}; policy accept;`;
}

function formatChain(name: string, rules: readonly string[]): string {
  return `\tchain ${name} {\n${rules.map((rule) => `\t\t${rule}\n`).join("")}\t}`;
}

function formatStep(step: Step): string {
  switch (step.kind) {
    case "uid":
      return `meta skuid ${step.uid} return`;
    case "in-loopback":
      return 'iifname "lo" return';
    case "out-loopback":
      return 'oifname "lo" return';
    case "network": {
      const { family, address, prefix } = step.network;
      if (prefix === 0) return `meta nfproto ipv${family} return`;
      return `${family === 4 ? "ip" : "ip6"} daddr ${address}${isHost(step.network) ? "" : `/${prefix}`} return`;
    }
    case "port":
      return `tcp dport ${step.port} return`;
    case "redirect":
      return `meta l4proto tcp redirect to :${step.port}`;
  }
}

function isHost({ family, prefix }: { readonly family: 4 | 6; readonly prefix: number }): boolean {
  return prefix === (family === 4 ? 32 : 128);
}
