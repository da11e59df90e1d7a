// Goal: what a rule of a document does besides choosing a service: queries, field edits, redirects, own answers.
// Method: documents are parsed and compiled as in a sidecar; both ends of the engine are virtual sockets.

import { beforeAll, expect, test } from "vitest";
import * as h2 from "../../../support/frames.ts";
import { prepareWorlds, type World, type WorldMaker } from "../../../support/world.ts";

const OK = "HTTP/1.1 200 OK\r\nserver: app\r\nset-cookie: a=1\r\ncontent-length: 2\r\n\r\nok";

let make: WorldMaker;
beforeAll(async () => {
  make = await prepareWorlds();
});

function worldOf(rules: string): World {
  return make(meshOf(rules));
}

function reload(world: World, rules: string): void {
  world.load(meshOf(rules), { revision: 2 });
}

function meshOf(rules: string): string {
  return `
services:
  web: {instances: [{id: a, address: 10.0.0.1:80}]}
  other: {instances: [{id: b, address: 10.0.0.2:80}]}
routes:
  all:
    rules:
${rules.replaceAll(/^/gm, "      ")}
`;
}

/** An HTTP/2 client with one request; returns what it hears. */
function speakH2(world: World, fields: h2.Fields): () => string[] {
  const wire = world.accept().send(Buffer.concat([h2.PREFACE, h2.settings(), h2.headers(1, fields, 5)]));
  const printer = new h2.FramePrinter();
  const reader = new h2.FrameReader(false);
  return () => printer.print(reader.read(wire.read()).filter(({ id }) => id === 1));
}

function ask(world: World, path: string, more = ""): string {
  return world.accept().send(`GET ${path} HTTP/1.1\r\nhost: site.example:8080\r\n${more}\r\n`).text();
}

test("a query parameter decides; the rest of the query is nobody's business", () => {
  const world = worldOf(`
- {match: {query: {v: {exact: "2"}, debug: {present: false}}}, to: [{service: other}]}
- {match: {query: {q: {regex: "[0-9]+"}}}, to: [{service: other}]}
- {to: [{service: web}]}`);
  const seen: string[] = [];
  world.onConnect = (_, name) => seen.push(name);
  for (const path of ["/?a=1&v=2", "/?v=2&debug=", "/?q=17", "/?q=17a", "/v=2"]) ask(world, path);
  // Those that wait for the same connection do not open one more each.
  expect(seen.filter((name) => name === "other/b").length).toBe(2);
  expect(seen.filter((name) => name === "web/a").length).toBe(3);
});

test("fields are removed, set and added on the way to the service, and on the way back", () => {
  const world = worldOf(`
- requestHeaders: {set: {x-env: prod}, add: {x-tag: b}, remove: [x-secret]}
  responseHeaders: {set: {server: mesh}, add: {set-cookie: b=2}, remove: [x-none]}
  to: [{service: web}]`);
  const client = world.accept();
  client.send("GET / HTTP/1.1\r\nhost: web.example\r\nx-env: dev\r\nx-env: old\r\nx-tag: a\r\nX-Secret: s\r\n\r\n");
  const request = world.upstreams[0]!.text();
  expect(request.match(/^x-(env|tag|secret): .*$/gm)).toEqual(["x-tag: a", "x-env: prod", "x-tag: b"]);
  world.upstreams[0]!.send(OK);
  const answer = client.text();
  expect(answer.match(/^(server|set-cookie): .*$/gm)).toEqual(["set-cookie: a=1", "server: mesh", "set-cookie: b=2"]);
});

test.each([
  ["{scheme: https}", "/a/b?c=d", "302", "https://site.example/a/b?c=d"],
  ["{host: new.example, status: 301}", "/a", "301", "http://new.example/a"],
  ["{path: /moved, status: 308}", "/a/b?c=d", "308", "http://site.example:8080/moved?c=d"],
  ["{pathPrefix: /v2/, status: 307}", "/a/b?c=d", "307", "http://site.example:8080/v2/b?c=d"],
  ["{scheme: https, host: 'new.example:8443', path: /}", "/a/b", "302", "https://new.example:8443/"],
])("redirect %s of %s", (redirect, path, status, location) => {
  const world = worldOf(
    `- {match: {path: {prefix: /a}}, redirect: ${redirect}, responseHeaders: {add: {x-why: moved}}}`,
  );
  const answer = ask(world, path);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).toContain(`\r\nlocation: ${location}\r\n`);
  expect(answer).toContain("\r\nx-why: moved\r\n");
  expect(answer).toContain("\r\ncontent-length: 0\r\n");
  expect(world.upstreams).toEqual([]);
});

test("a direct response: status, body, its type; none of it for HEAD but the head", () => {
  const world = worldOf(`
- {match: {path: {exact: /robots.txt}}, directResponse: {body: "Disallow: /\\n"}}
- match: {path: {exact: /json}}
  directResponse: {status: 418, body: "{}"}
  responseHeaders: {set: {content-type: application/json}}
- {directResponse: {status: 204}}`);
  const robots = ask(world, "/robots.txt");
  expect(robots).toMatch(/^HTTP\/1.1 200 /);
  expect(robots).toContain("content-type: text/plain; charset=utf-8\r\n");
  expect(robots.endsWith("\r\n\r\nDisallow: /\n")).toBe(true);
  const json = ask(world, "/json");
  expect(json).toMatch(/^HTTP\/1.1 418 /);
  expect(json.match(/^content-type: .*$/gm)).toEqual(["content-type: application/json"]);
  expect(ask(world, "/else")).toMatch(/^HTTP\/1.1 204 /);
  const client = world.accept().send("HEAD /robots.txt HTTP/1.1\r\nhost: a\r\n\r\n");
  const head = client.text();
  expect(head).toContain("content-length: 12\r\n");
  expect(head.endsWith("\r\n\r\n")).toBe(true);
  // The connection serves the next request.
  expect(client.send("GET /json HTTP/1.1\r\nhost: a\r\n\r\n").text()).toMatch(/^HTTP\/1.1 418 /);
  expect(world.engine.exchangeCount()).toBe(0);
});

test("a rule answers HTTP/2, and a POST whose body is still to come", () => {
  const world = worldOf("- {directResponse: {status: 403, body: no}}");
  const caller = speakH2(world, [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "a"],
  ]);
  expect(caller()).toEqual([
    expect.stringMatching(/^HEADERS 1 \| :status 403 \| content-length 2 \| content-type text\/plain; charset=utf-8/),
    'DATA 1 ES "no"',
  ]);
  const post = world.accept().send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx");
  expect(post.text()).toMatch(/^HTTP\/1.1 403 [\s\S]*connection: close\r\n/);
  post.destroy();
  expect(world.engine.exchangeCount()).toBe(0);
});

const DELAY = "fault: {delay: {share: 1, duration: 2s}}";

test("a delayed request waits before its first attempt, and its client may give up meanwhile", () => {
  const world = worldOf(`- {${DELAY}, to: [{service: web}]}`);
  const client = world.accept().send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbo");
  client.send("dy");
  const impatient = world.accept().send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  world.pass(1990);
  expect(world.upstreams).toEqual([]);
  impatient.destroy();
  expect(world.engine.exchangeCount()).toBe(1);
  world.pass(20);
  expect(world.upstreams.length).toBe(1);
  expect(world.upstreams[0]!.text()).toContain("\r\n\r\nbody");
  world.upstreams[0]!.send(OK);
  expect(client.text()).toContain("200 OK");
});

test("a delay counts in the request's deadline and in its service's limit of requests", () => {
  const world = worldOf(`- {${DELAY}, timeout: {request: 1s}, to: [{service: web}]}`);
  const client = world.accept().send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  const { service } = world.snapshot.instances[0]!;
  world.balancer.setLimit(service, 0, 1);
  expect(ask(world, "/")).toContain("x-pillion-reason: overflow");
  world.pass(1010);
  expect(client.text()).toContain("x-pillion-reason: request-timeout");
  expect(world.upstreams).toEqual([]);
});

test("an aborted request is answered as the rule says, with the reason, and no service hears of it", () => {
  const world = worldOf("- {fault: {abort: {share: 1, status: 418}}, to: [{service: web}]}");
  const answer = ask(world, "/");
  expect(answer).toMatch(/^HTTP\/1.1 418 /);
  expect(answer).toContain("x-pillion-reason: fault");
  expect(JSON.parse(answer.slice(answer.indexOf("{"))).error).toMatchObject({ reason: "fault", service: "web" });
  expect(world.upstreams).toEqual([]);
  expect(world.engine.exchangeCount()).toBe(0);
});

test.each([
  [503, 14],
  [429, 14],
  [403, 7],
  [500, 2],
])("status %i of a fault is grpc-status %i to a gRPC caller, after the delay", (status, code) => {
  const world = worldOf(`
- {fault: {delay: {share: 1, duration: 1s}, abort: {share: 1, status: ${status}}}, to: [{service: web}]}`);
  const hear = speakH2(world, [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/a.B/C"],
    [":authority", "a"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ]);
  world.pass(990);
  expect(hear()).toEqual([]);
  world.pass(20);
  expect(hear()).toEqual([expect.stringMatching(new RegExp(`:status 200 .*grpc-status ${code} .*reason fault`))]);
});

test("shares are shares, and a new document ends a fault at once", () => {
  const rules = "- {fault: {abort: {share: 0.25, status: 500}}, to: [{service: web}]}";
  const world = worldOf(rules);
  let aborted = 0;
  for (let round = 0; round < 400; round += 1) {
    const client = world.accept().send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    if (client.text().includes("500 ")) aborted += 1;
    client.destroy();
  }
  // Five standard deviations around 100, by a generator with a fixed seed.
  expect(Math.abs(aborted - 100)).toBeLessThan(44);
  reload(world, "- {to: [{service: web}]}");
  for (let round = 0; round < 40; round += 1) expect(ask(world, "/")).toBe("");
});
