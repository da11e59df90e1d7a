// Steady load for tests that change something meanwhile: so many requests at once, until stopped, every failure kept.

import { createClient } from "./foreign-clients.ts";
import type { Version } from "./foreign-servers.ts";
import { waitUntil } from "./process.ts";

export interface LoadOptions {
  readonly address: string;
  readonly version: Version;
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  readonly body?: string;
  /** Requests at once. */
  readonly lanes?: number;
}

export interface Load {
  readonly sent: number;
  /** Answers by instance (`x-instance`). */
  readonly shares: Readonly<Record<string, number>>;
  /** Everything that was not a 200, as text, with how often it came. */
  readonly failures: Readonly<Record<string, number>>;
  /** Resolves after `count` more answers. */
  answered(count: number): Promise<void>;
  /** Resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/** Starts sending. */
export function startLoad({ address, version, host, lanes = 8, ...request }: LoadOptions): Load {
  const client = createClient(version, address);
  const shares: Record<string, number> = {};
  const failures: Record<string, number> = {};
  const fail = (text: string) => {
    failures[text] = (failures[text] ?? 0) + 1;
  };
  let sent = 0;
  let answers = 0;
  let isStopped = false;
  const lane = async () => {
    while (!isStopped) {
      sent += 1;
      try {
        const { status, headers, body } = await client.send({ host, path: "/status/200", ...request });
        const instance = headers["x-instance"] ?? "none";
        shares[instance] = (shares[instance] ?? 0) + 1;
        if (status !== 200) fail(`${status} ${headers["x-pillion-reason"]} ${body.toString()}`);
      } catch (error) {
        fail(String(error));
      }
      answers += 1;
    }
  };
  const lanesRunning = Promise.all(Array.from({ length: lanes }, lane));
  return {
    get sent() {
      return sent;
    },
    shares,
    failures,
    answered(count) {
      const target = answers + count;
      return waitUntil(`${count} more answers`, () => answers >= target);
    },
    async stop() {
      isStopped = true;
      await lanesRunning;
      await client.close();
    },
  };
}
