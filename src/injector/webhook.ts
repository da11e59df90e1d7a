// The mutating admission webhook: HTTPS, one path for reviews, three for kubelet and Prometheus.
//
//   POST /inject    AdmissionReview → AdmissionReview          GET /live, /ready, /metrics
//
// The API server waits for every answer while a pod is being created, so an answer is made at once and in memory. What
// is not a review gets 400 and a sentence, what is too large 413; nothing that is sent can end the process.

import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { Counter, Histogram, Registry } from "prom-client";
import { type Address, type Clock, formatAddress, type Log, messageOf, pillionError } from "../base/index.ts";
import { CertificateFiles } from "./certificate-files.ts";
import type { InjectOptions } from "./options.ts";
import { answerReview } from "./review.ts";

export interface WebhookOptions {
  readonly listen: Address;
  readonly certPath: string;
  readonly keyPath: string;
  readonly inject: InjectOptions;
  readonly clock: Clock;
  readonly log: Log;
}

/** The API server takes objects of up to 3 MiB (its request limit); a review holds one, and a frame around it. */
const REVIEW_BYTES_MAX = 4 * 1024 * 1024;
/** The API server gives up after at most 30 s; whoever dawdles longer with its request is not the API server. */
const REQUEST_MS = 30_000;
/** Longer than the API server's idle connections (Go's transport: 90 s), so that it is the one that closes. */
const KEEP_ALIVE_MS = 120_000;

interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export class Webhook {
  readonly #options: WebhookOptions;
  readonly #certificates: CertificateFiles;
  readonly #metrics = createMetrics();
  #server: Server | undefined;
  #isStopping = false;

  constructor(options: WebhookOptions) {
    this.#options = options;
    const { certPath, keyPath, clock, log } = options;
    this.#certificates = new CertificateFiles({
      certPath,
      keyPath,
      clock,
      changed: (certificate) => {
        this.#server?.setSecureContext(certificate);
        log.info({ certPath }, "the certificate was read again");
      },
      refused: (problem) => log.error({ certPath, problem }, "the new certificate is not taken; the last one stays"),
    });
  }

  /** Listens; throws where the certificate is not good or the address cannot be had. */
  async start(): Promise<Address> {
    const certificate = await this.#certificates.start();
    const options = { ...certificate, requestTimeout: REQUEST_MS, keepAliveTimeout: KEEP_ALIVE_MS };
    const server = createServer(options, (request, response) => {
      this.#answer(request).then(
        (reply) => send(response, reply, this.#isStopping),
        (error: unknown) => {
          // Whoever sent it has gone, or it is our mistake: then this request fails, and no other.
          this.#options.log.error({ error }, "a review could not be answered");
          send(response, replyText(500, messageOf(error)), true);
        },
      );
    });
    this.#server = server;
    const { listen } = this.#options;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => {
        const details = { address: formatAddress(listen), problem: `${messageOf(error)} (--listen)` };
        reject(pillionError("PILLION_LISTEN", details, error));
      });
      server.listen(listen.port, listen.host, resolve);
    });
    server.removeAllListeners("error");
    server.on("error", (error) => this.#options.log.error({ error }, "the server"));
    const { address, port } = server.address() as AddressInfo;
    return { host: address, port };
  }

  /** Answers what is under way and closes. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#certificates.stop();
    const server = this.#server;
    if (server === undefined) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  }

  async #answer(request: IncomingMessage): Promise<Reply> {
    // The API server appends ?timeout=10s.
    const path = (request.url ?? "").split("?", 1)[0];
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (path === "/inject")
      return request.method === "POST" ? this.#answerReview(request) : replyText(405, "POST only");
    if (!isRead) return replyText(405, "GET only");
    if (path === "/live") return replyText(200, "live");
    if (path === "/ready") return this.#isStopping ? replyText(503, "stopping") : replyText(200, "ready");
    if (path === "/metrics") {
      const { registry } = this.#metrics;
      return { status: 200, contentType: registry.contentType, body: await registry.metrics() };
    }
    return replyText(404, "POST /inject; GET /live, /ready, /metrics");
  }

  async #answerReview(request: IncomingMessage): Promise<Reply> {
    const { clock, inject, log } = this.#options;
    const { reviews, seconds } = this.#metrics;
    const type = request.headers["content-type"] ?? "";
    if (!/^application\/json\s*(;|$)/i.test(type)) return replyText(415, "a review is application/json");
    const text = await readBody(request);
    const beganMs = clock.nowMs();
    if (text === undefined) {
      reviews.inc({ outcome: "malformed" });
      return replyText(413, `a review has at most ${REVIEW_BYTES_MAX} bytes`);
    }
    const reviewed = answerReview(text, inject);
    seconds.observe((clock.nowMs() - beganMs) / 1_000);
    if (!reviewed.ok) {
      reviews.inc({ outcome: "malformed" });
      log.warn({ problem: reviewed.problem }, "what was sent is no review");
      return replyText(400, reviewed.problem);
    }
    reviews.inc({ outcome: reviewed.outcome });
    log.info({ outcome: reviewed.outcome }, reviewed.summary);
    return { status: 200, contentType: "application/json", body: JSON.stringify(reviewed.response) };
  }
}

function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    reviews: new Counter({
      name: "pillion_injector_reviews_total",
      help: "Reviews by outcome: injected, unchanged, skipped, refused, other, malformed.",
      labelNames: ["outcome"],
      registers,
    }),
    seconds: new Histogram({
      name: "pillion_injector_review_seconds",
      help: "Time to decide about one pod, without reading and sending.",
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1],
      registers,
    }),
  };
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  if (Number(request.headers["content-length"] ?? 0) > REVIEW_BYTES_MAX) return undefined;
  for await (const part of request) {
    length += (part as Buffer).length;
    if (length > REVIEW_BYTES_MAX) return undefined;
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}

function replyText(status: number, text: string): Reply {
  return { status, contentType: "text/plain; charset=utf-8", body: `${text}\n` };
}

function send(response: ServerResponse, { status, contentType, body }: Reply, isLast: boolean): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    // A body that was not read to its end cannot be followed by another request.
    ...(isLast || status === 413 || status === 415 ? { connection: "close" } : {}),
  });
  response.end(body);
}
