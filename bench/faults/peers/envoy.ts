// Envoy: retries by route (POST only on proof), previous hosts avoided, a budget, outlier detection and active checks.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findEnvoy } from "../../peers/envoy.ts";
import { asRunning } from "../../peers/peer.ts";
import { freePort, startServer } from "../../system/process.ts";
import { HEALTH_PATH, type Rival } from "./rival.ts";

export const envoy: Rival = {
  name: "envoy",
  async start({ version, servers, folder }) {
    const program = findEnvoy();
    if (program === undefined) throw new Error("envoy is not there");
    const port = await freePort();
    const conf = join(folder, "envoy-faults.yaml");
    writeFileSync(conf, config(port, servers, version === "h2"));
    const args = ["-c", conf, "--concurrency", "1", "--disable-hot-restart", "--log-level", "critical"];
    return asRunning("envoy", startServer("envoy", program, args), port);
  },
};

/** A route's retries; the second argument says on what. */
function retries(on: string): string {
  const previous = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
  return `{retry_on: "${on}", num_retries: 3, per_try_timeout: 1s, host_selection_retry_max_attempts: 5,
                retry_back_off: {base_interval: 0.025s, max_interval: 0.25s},
                retry_host_predicate: [{name: previous, typed_config: {"@type": type.googleapis.com/${previous}}}]}`;
}

function config(port: number, servers: readonly number[], isH2: boolean): string {
  const manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const router = '"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';
  const keepalive = "{connection_keepalive: {interval: 1s, timeout: 1s}}";
  const protocol = isH2 ? `http2_protocol_options: ${keepalive}` : "http_protocol_options: {}";
  const endpoint = (server: number) =>
    `        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${server}}}}`;
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
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /, headers: [{name: ":method", string_match: {exact: POST}}]}
                route:
                  cluster: b
                  timeout: 4s
                  retry_policy: ${retries("connect-failure,refused-stream,reset-before-request")}
              - match: {prefix: /}
                route:
                  cluster: b
                  timeout: 4s
                  retry_policy: ${retries("5xx,reset,connect-failure,refused-stream,reset-before-request")}
  clusters:
  - name: b
    type: STATIC
    lb_policy: LEAST_REQUEST
    connect_timeout: 0.5s
    common_lb_config: {healthy_panic_threshold: {value: 25}}
    circuit_breakers:
      thresholds:
      - {max_connections: 20000, max_requests: 20000, max_pending_requests: 20000,
         retry_budget: {budget_percent: {value: 25}, min_retry_concurrency: 20}}
    outlier_detection:
      {consecutive_5xx: 3, consecutive_gateway_failure: 3, enforcing_consecutive_gateway_failure: 100,
       split_external_local_origin_errors: true, consecutive_local_origin_failure: 3,
       enforcing_consecutive_local_origin_failure: 100, interval: 0.5s, base_ejection_time: 5s,
       max_ejection_percent: 50, success_rate_minimum_hosts: 3, success_rate_request_volume: 20}
    health_checks:
    - {timeout: 0.5s, interval: 0.5s, no_traffic_interval: 0.5s, unhealthy_threshold: 2, healthy_threshold: 2,
       http_health_check: {path: ${HEALTH_PATH}${isH2 ? ", codec_client_type: HTTP2" : ""}}}
    load_assignment:
      cluster_name: b
      endpoints:
      - lb_endpoints:
${servers.map(endpoint).join("\n")}
    typed_extension_protocol_options:
      ${options}:
        {"@type": type.googleapis.com/${options}, explicit_http_config: {${protocol}}}
`;
}
