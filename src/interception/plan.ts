// What is intercepted: decided once from the flags, then written down by each backend in its own language.
//
// The order of the rules is the same everywhere, and a packet takes the first that fits:
//
//   inbound   to us: loopback · the sidecar's own port · excluded ports ─► as they are;  other TCP ─► the sidecar
//   outbound  from us: the sidecar's own user · loopback · excluded networks · excluded ports ─► as they are;
//             other TCP ─► the sidecar
//
// There is no loop: what the sidecar sends is sent by its own user, and the first rule lets it go.

import type { Network } from "./networks.ts";

export interface Plan {
  /** Undefined: no inbound connection is redirected. */
  readonly inboundPort: number | undefined;
  readonly outboundPort: number;
  /** The sidecar's user: what it sends is never redirected. */
  readonly uid: number;
  readonly excludeInboundPorts: readonly number[];
  readonly excludeOutboundPorts: readonly number[];
  readonly excludeOutboundCidrs: readonly Network[];
}

/** One step of a chain; all of them concern TCP only. */
export type Step =
  | { readonly kind: "uid"; readonly uid: number }
  | { readonly kind: "in-loopback" }
  | { readonly kind: "out-loopback" }
  | { readonly kind: "network"; readonly network: Network }
  | { readonly kind: "port"; readonly port: number }
  | { readonly kind: "redirect"; readonly port: number };

/** What happens to connections that come to this host; undefined: nothing. */
export function inboundSteps({ inboundPort, excludeInboundPorts }: Plan): readonly Step[] | undefined {
  if (inboundPort === undefined) return undefined;
  // Who addresses the sidecar itself (another sidecar) reaches it without a translation that has to be remembered.
  const ports = [...new Set([inboundPort, ...excludeInboundPorts])];
  return [
    { kind: "in-loopback" },
    ...ports.map((port): Step => ({ kind: "port", port })),
    { kind: "redirect", port: inboundPort },
  ];
}

/** What happens to connections that this host opens. */
export function outboundSteps(plan: Plan): readonly Step[] {
  return [
    { kind: "uid", uid: plan.uid },
    { kind: "out-loopback" },
    ...plan.excludeOutboundCidrs.map((network): Step => ({ kind: "network", network })),
    ...[...new Set(plan.excludeOutboundPorts)].map((port): Step => ({ kind: "port", port })),
    { kind: "redirect", port: plan.outboundPort },
  ];
}

/** The packet's path as a comment of both languages. */
export function drawPath({ inboundPort, outboundPort, uid }: Plan): string {
  const inbound =
    inboundPort === undefined
      ? ["inbound: not intercepted"]
      : [
          "inbound:   caller ─► PREROUTING ─► to an excluded port, or to the sidecar itself ──────────► app",
          `                         └─► other TCP to this host ─► sidecar :${inboundPort} ─► lo ─► app`,
        ];
  const outbound = [
    `outbound:  app ─► OUTPUT ─► over lo, or to an excluded network or port ─────────────────► its destination`,
    `                    └─► other TCP ─► sidecar :${outboundPort} ─► OUTPUT, as user ${uid} ─► its destination`,
  ];
  return [...inbound, "", ...outbound].map((line) => `# ${line}`.trimEnd()).join("\n");
}
