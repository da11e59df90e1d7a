// What the demo's mesh consists of: services, instances, and one service more for each balancing policy.
//
// The policy services have the greeter's instances under another name: an inbound serves its app whatever the caller
// called it, so one set of servers shows all policies side by side. Pure data; processes are in mesh.ts.

import { stringify } from "yaml";

export type Example = "greeter" | "users" | "http";

/** The three services of the demo, and how many instances each has. */
export const DEMO_SERVICES = [
  { service: "greeter", example: "greeter", protocol: "grpc", instances: 3 },
  { service: "users", example: "users", protocol: "grpc", instances: 2 },
  { service: "web", example: "http", protocol: "http", instances: 2 },
] as const satisfies readonly { service: string; example: Example; protocol: string; instances: number }[];

/** The services that show one policy each. */
export const POLICY_SERVICES = [
  { service: "round-robin", balance: { policy: "round-robin" } },
  { service: "weighted", balance: { policy: "weighted-round-robin" } },
  { service: "random", balance: { policy: "random" } },
  { service: "least-connections", balance: { policy: "least-connections" } },
  { service: "ring-hash", balance: { policy: "ring-hash", hash: { header: "x-user" } } },
  { service: "adaptive", balance: { policy: "adaptive" } },
] as const;

/** Weights of the greeter's instances in the service `weighted`, in order of their names. */
export const WEIGHTS = [5, 3, 1];

/** One instance with its own sidecar. */
export interface DemoInstance {
  readonly service: string;
  readonly id: string;
  /** The server itself. */
  readonly app: string;
  /** Its sidecar's inbound; undefined before the sidecar is up. */
  readonly inbound: string | undefined;
}

/** The mesh.yaml of these instances; those without an inbound are not listed yet. */
export function formatMesh(instances: readonly DemoInstance[], { withPolicies }: { withPolicies: boolean }): string {
  const listed = (service: string, weights: readonly number[] = []) =>
    instances
      .filter((instance) => instance.service === service && instance.inbound !== undefined)
      .map(({ id, inbound }, index) => ({
        id,
        address: inbound,
        sidecar: true,
        ...(weights[index] === undefined ? {} : { weight: weights[index] }),
      }));
  const services: Record<string, unknown> = {};
  for (const { service, protocol } of DEMO_SERVICES) services[service] = { protocol, instances: listed(service) };
  for (const { service, balance } of withPolicies ? POLICY_SERVICES : []) {
    const weights = service === "weighted" ? WEIGHTS : [];
    services[service] = { protocol: "grpc", balance, instances: listed("greeter", weights) };
  }
  return stringify({ services });
}
