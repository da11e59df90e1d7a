// Restarted under the same name and address, with a file for a registry: nobody tells that an instance was away, and
// still it gets requests soon after it accepts again, whatever its end looked like. Real processes, real signals.
//
// PILLION_FULL=1: every way to end.

import { createServer, type Server } from "node:http";
import { createServer as createServerH2, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { createClient, type HttpClient } from "../support/foreign-clients.ts";
import { waitUntil } from "../support/process.ts";
import { createMesh, type Sidecar, startSidecar } from "../support/sidecar.ts";

const IS_FULL = process.env.PILLION_FULL === "1";
/** How long the instance is away: long enough for several failures, and for an ejection or two. */
const AWAY_MS = 2_500;
/** Generous: visits come once a second, and a busy host stalls. Held back by its past, it took up to a minute. */
const SOON_MS = 6_000;

const opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/** A server that can be killed and started again at its port. */
class App {
  requests = 0;
  readonly #isH2: boolean;
  readonly #sockets = new Set<Socket | ServerHttp2Session>();
  #server: Server | ReturnType<typeof createServerH2> | undefined;
  #port = 0;

  constructor(isH2 = false) {
    this.#isH2 = isH2;
    opened.push(() => this.kill());
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    const answer = (_request: unknown, response: { end(text: string): void }) => {
      this.requests += 1;
      setTimeout(() => response.end("answer"), 5);
    };
    const server = this.#isH2 ? createServerH2(answer) : createServer(answer);
    server.on(this.#isH2 ? "session" : "connection", (one: Socket | ServerHttp2Session) => {
      this.#sockets.add(one);
      one.on("error", () => {});
      one.once("close", () => this.#sockets.delete(one));
    });
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const one of this.#sockets) one.destroy();
    await closed;
  }
}

/** Requests at an even pace until stopped; resolves with the statuses. */
function startTraffic(client: HttpClient, host: string): { stop(): Promise<number[]> } {
  const answers: Promise<number>[] = [];
  const timer = setInterval(() => {
    answers.push(
      client.send({ host, path: "/" }).then(
        ({ status }) => status,
        () => 0,
      ),
    );
  }, 10);
  return {
    async stop() {
      clearInterval(timer);
      return Promise.all(answers);
    },
  };
}

const DOCUMENT = { balance: { slowStart: "2s" } };

/** Takes `fall` and `rise` through their paces under load; `requests` counts what the instance got. */
async function comesBack(
  outbound: Sidecar,
  requests: () => number,
  fall: () => Promise<void>,
  rise: () => Promise<void>,
): Promise<void> {
  const client = createClient("http2", outbound.outbound);
  opened.push(() => client.close());
  const traffic = startTraffic(client, "web");
  opened.push(() => traffic.stop());
  await waitUntil("it has requests", async () => requests() > 10);
  await fall();
  await pause(AWAY_MS);
  await rise();
  const before = requests();
  await waitUntil("it has requests again", async () => requests() > before, SOON_MS);
  const statuses = await traffic.stop();
  expect(statuses.filter((status) => status !== 200)).toEqual([]); // GETs: each of them is saved
}

async function startOutbound(documents: unknown): Promise<Sidecar> {
  const mesh = createMesh(documents);
  opened.push(async () => mesh[Symbol.asyncDispose]());
  const outbound = await startSidecar({ mesh });
  opened.push(() => outbound.stop());
  return outbound;
}

describe.each(IS_FULL ? (["http", "http2"] as const) : (["http2"] as const))("a bare instance (%s)", (protocol) => {
  test("that was killed under load", async () => {
    const apps = await Promise.all([0, 1, 2].map(() => new App(protocol === "http2").start()));
    const instances = apps.map(({ address }, index) => ({ id: `i${index}`, address }));
    const outbound = await startOutbound({ services: { web: { ...DOCUMENT, protocol, instances } } });
    const app = apps[1]!;
    await comesBack(
      outbound,
      () => app.requests,
      () => app.kill(),
      async () => void (await app.start()),
    );
  }, 60_000);
});

describe("an instance behind its sidecar", () => {
  interface Pair {
    readonly app: App;
    sidecar: Sidecar;
  }

  async function setUp(): Promise<{ pairs: Pair[]; outbound: Sidecar; restart: (pair: Pair) => Promise<void> }> {
    const empty = createMesh({ services: { web: {} } });
    opened.push(async () => empty[Symbol.asyncDispose]());
    const start = (address: string, id: string, inbound = "127.0.0.1:0") =>
      startSidecar({
        mesh: empty,
        app: { service: "web", address, id },
        flags: ["--outbound", "off", "--inbound", inbound],
      });
    const pairs = await Promise.all(
      [0, 1, 2].map(async (index): Promise<Pair> => {
        const app = await new App().start();
        const pair = { app, sidecar: await start(app.address, `i${index}`) };
        opened.push(() => pair.sidecar.stop());
        return pair;
      }),
    );
    const instances = pairs.map(({ sidecar }, index) => ({ id: `i${index}`, address: sidecar.inbound, sidecar: true }));
    const outbound = await startOutbound({ services: { web: { ...DOCUMENT, instances } } });
    const restart = async (pair: Pair) => {
      pair.sidecar = await start(pair.app.address, "i1", pair.sidecar.inbound);
    };
    return { pairs, outbound, restart };
  }

  test.each(IS_FULL ? (["SIGKILL", "SIGTERM"] as const) : (["SIGKILL"] as const))(
    "whose sidecar ended by %s",
    async (signal) => {
      const { pairs, outbound, restart } = await setUp();
      const pair = pairs[1]!;
      const fall = async () => {
        if (signal === "SIGTERM") return pair.sidecar.stop();
        pair.sidecar.program.signal("SIGKILL");
        await waitUntil("it is gone", async () => !pair.sidecar.program.isRunning);
      };
      await comesBack(
        outbound,
        () => pair.app.requests,
        fall,
        () => restart(pair),
      );
    },
    60_000,
  );

  test("whose app was killed, under a sidecar that stays", async () => {
    const { pairs, outbound } = await setUp();
    const { app } = pairs[1]!;
    await comesBack(
      outbound,
      () => app.requests,
      () => app.kill(),
      async () => void (await app.start()),
    );
  }, 60_000);
});
