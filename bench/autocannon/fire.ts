// One shot of autocannon: requests against a URL, each answer's status, length and time taken down.

import autocannon from "autocannon";
import { quantileOf } from "../load/statistics.ts";

export interface Aim {
  readonly url: string;
  /** `host` to ask for, where it differs from the URL's. */
  readonly host?: string | undefined;
  readonly connections: number;
  /** Either so many requests, */
  readonly requests?: number;
  /** or so long. */
  readonly seconds?: number;
  readonly method?: string | undefined;
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes that every body must have. */
  readonly bodyBytes?: number;
}

export interface Shot {
  readonly answers: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** What makes the figures worthless, if anything does. */
  readonly problem: string | undefined;
}

/** Fires; an answer that is not 2xx, is cut short or does not come is the shot's `problem`. */
export async function fire(aim: Aim): Promise<Shot> {
  const { url, host, connections, requests, seconds, method, body } = aim;
  const instance = autocannon({
    url,
    connections,
    ...(requests === undefined ? { duration: seconds ?? 10 } : { amount: requests }),
    ...(method === undefined ? {} : { method }),
    ...(body === undefined ? {} : { body }),
    headers: { ...aim.headers, ...(host === undefined ? {} : { host }) },
    timeout: 60,
  });
  const took: number[] = [];
  let strangeLengths = 0;
  const least = aim.bodyBytes ?? 0;
  const startMs = performance.now();
  let lastMs = startMs;
  instance.on("response", (_client, status, bytes, tookMs) => {
    lastMs = performance.now();
    // `bytes` has the head too, so a whole body is a lower bound.
    if (bytes < least) strangeLengths += 1;
    if (status >= 200 && status < 300) took.push(tookMs * 1_000);
  });
  const result = await instance;
  const { errors, timeouts, non2xx } = result;
  const isShort = requests !== undefined && took.length !== requests;
  const isWrong = errors + timeouts + non2xx + strangeLengths > 0 || isShort || took.length === 0;
  const wrong = `${non2xx} were not 2xx, ${errors} errors, ${timeouts} timeouts, ${strangeLengths} too short`;
  const problem = `${took.length} good answers of ${requests ?? "any number"}; ${wrong}`;
  const sorted = Float64Array.from(took).sort();
  return {
    answers: took.length,
    // Its own duration is rounded up to the second in which it ended.
    requestsPerSecond: took.length / ((lastMs - startMs) / 1_000),
    p50Us: quantileOf(sorted, 0.5),
    p99Us: quantileOf(sorted, 0.99),
    problem: isWrong ? problem : undefined,
  };
}
