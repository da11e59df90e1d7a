// The admin server (15000, loopback) and the probe server (15021, all interfaces, four fixed paths).
//
// Admin reads and changes the sidecar, so it answers only callers that name it as a local host: a page in a browser on
// the same machine can reach a loopback port by a name of its own (DNS rebinding), and then its Host is that name.

import type { IncomingMessage } from "node:http";
import type { Address } from "../base/index.ts";
import { configResource } from "./api/config.ts";
import { connectionsResource } from "./api/connections.ts";
import { drainResource } from "./api/drain.ts";
import { instancesResource } from "./api/instances.ts";
import { logLevelResource } from "./api/log-level.ts";
import { metricsResource } from "./api/metrics.ts";
import { liveResource, readyResource } from "./api/probes.ts";
import { servicesResource } from "./api/services.ts";
import { type ExplainListen, type HttpServer, type Reply, replyJson, startHttp } from "./http.ts";
import type { AdminView } from "./view.ts";

/** Names by which a caller on this host knows it. */
const LOCAL_HOSTS = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i;

export function startAdmin(address: Address, view: AdminView, explain: ExplainListen): Promise<HttpServer> {
  const resources = [
    servicesResource(view),
    instancesResource(view),
    connectionsResource(view),
    configResource(view),
    metricsResource(view),
    drainResource(view),
    logLevelResource(view),
    liveResource,
    readyResource(view),
  ];
  return startHttp({ address, flag: "--admin", resources, explain, refuse: refuseForeignHost });
}

export function startProbe(address: Address, view: AdminView, explain: ExplainListen): Promise<HttpServer> {
  const resources = [liveResource, readyResource(view), metricsResource(view)];
  return startHttp({ address, flag: "--probe", resources, explain });
}

function refuseForeignHost(request: IncomingMessage): Reply | undefined {
  const host = request.headers.host ?? "";
  if (LOCAL_HOSTS.test(host)) return undefined;
  return replyJson({ error: "the admin port answers to localhost, 127.0.0.1 and [::1] only" }, 403);
}
