// What is accepted and hardly meant is said, with its place; what may well be meant is not.

import { expect, test } from "vitest";
import { formatIssue, parseMeshFile } from "../../../src/config/index.ts";

const TO = "to: [{service: a}]";

function warningsOf(text: string): string[] {
  const file = parseMeshFile(text, { fileName: "mesh.yaml" });
  expect(file.ok).toBe(true);
  return file.warnings.map((warning) => formatIssue("mesh.yaml", warning));
}

const service = (fields: string) => `services: {a: {${fields}}}`;
const rules = (...list: string[]) =>
  `services: {a: {}}\nroutes: {r: {rules: [${list.map((rule) => `{${rule}}`).join(", ")}]}}`;

test.each([
  [service("balance: {policy: random, hash: {path: true}}"), /1:42: services\.a\.balance\.hash: has no effect.*random/],
  [
    service("protocol: grpc, hedge: {after: p90}"),
    /services\.a\.hedge: only calls with an idempotency-key.*calls: all/,
  ],
  [service("timeout: {request: 1s, attempt: 2s}"), /services\.a\.timeout\.attempt: never ends an attempt/],
  ["mesh: {defaults: {timeout: {request: 1s, attempt: 1s}}}", /mesh\.defaults\.timeout\.attempt: never/],
  [rules(TO, `match: {method: [GET]}, ${TO}`), /routes\.r\.rules\.1: is never reached: rule 0 has no match/],
  [rules(`match: {headers: {}}, ${TO}`, TO), /routes\.r\.rules\.1: is never reached/],
  [rules(`balance: {policy: random, hash: {path: true}}, ${TO}`), /routes\.r\.rules\.0\.balance\.hash: has no effect/],
])("%s", (text, expected) => {
  expect(warningsOf(text)).toEqual([expect.stringMatching(expected)]);
});

test.each([
  service("balance: {hash: {path: true}}"),
  service("balance: {policy: maglev, hash: {path: true}}"),
  service("protocol: grpc, hedge: {calls: all}"),
  service("protocol: grpc, hedge: none"),
  service("hedge: {after: p90}"),
  service("timeout: {request: 2s, attempt: 1s}"),
  service("timeout: {request: none, attempt: 1s}"),
  rules(`match: {method: [GET]}, ${TO}`, TO),
])("no doubt: %s", (text) => {
  expect(warningsOf(text)).toEqual([]);
});
