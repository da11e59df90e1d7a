// The app's probes, where interception would make them say something else.
//
// kubelet comes from outside of the pod. With inbound connections redirected, what it sends to the app's port passes
// through the sidecar as any caller's request does, without a certificate: HTTP and gRPC probes need no change. Two
// kinds do. A TCP probe of the app's port would meet the sidecar's listener, which accepts whether the app lives or
// not: it becomes a question to the sidecar, which connects to the app itself. And a probe (or hook) of any other port
// must go past the sidecar, which speaks for one port of the app: that port is excluded from interception.

import { resolvePort } from "./derive.ts";
import { PORTS } from "./options.ts";
import { type Container, type Handler, PROBES } from "./pod.ts";

export interface AdaptedProbes {
  readonly containers: readonly Container[];
  /** To be left out of the interception of inbound connections. */
  readonly excludedPorts: readonly number[];
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

/** Adapts the probes of these containers to a sidecar that speaks for `appPort`. */
export function adaptProbes(containers: readonly Container[], appPort: number): AdaptedProbes {
  const excluded = new Set<number>();
  const notes: string[] = [];
  const warnings: string[] = [];
  const adapt = (container: Container): Container => {
    let adapted = container;
    for (const field of PROBES) {
      const probe = container[field];
      const port = portOf(probe, container);
      if (port !== appPort || !probe) continue;
      if (probe.tcpSocket) {
        adapted = { ...adapted, [field]: askSidecar(probe) };
        notes.push(`${container.name}: ${field} asks the sidecar whether the app accepts (it would answer for it)`);
      } else if (probe.httpGet?.scheme === "HTTPS") {
        warnings.push(
          `${container.name}: ${field} is HTTPS on the app's port; the sidecar carries it in clear text only`,
        );
      }
    }
    for (const handler of handlersOf(container)) {
      const port = portOf(handler, container);
      if (port !== undefined && port !== appPort) excluded.add(port);
    }
    return adapted;
  };
  return { containers: containers.map(adapt), excludedPorts: [...excluded], notes, warnings };
}

function* handlersOf(container: Container): Generator<Handler> {
  for (const field of PROBES) if (container[field]) yield container[field];
  const { postStart, preStop } = container.lifecycle ?? {};
  for (const hook of [postStart, preStop]) if (hook) yield hook;
}

function portOf(handler: Handler | null | undefined, container: Container): number | undefined {
  const port = handler?.httpGet?.port ?? handler?.tcpSocket?.port ?? handler?.grpc?.port;
  return port === undefined ? undefined : resolvePort(port, [container]);
}

function askSidecar({ tcpSocket: _, ...rest }: Handler): Handler {
  return { httpGet: { path: "/ready?part=app", port: PORTS.probe }, ...rest } as Handler;
}
