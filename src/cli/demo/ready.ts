// When a sidecar that was just started may be used, and on which ports: its log says where, its /ready says when.

import { setTimeout as pause } from "node:timers/promises";
import { request } from "undici";
import { pillionError } from "../../base/index.ts";
import type { Child } from "./children.ts";

/** By flag, without the dashes: `outbound`, `inbound`, `admin`, `probe`. */
export type SidecarPorts = Readonly<Record<string, string>>;

/** Between two looks at /ready. */
const LOOK_MS = 20;
/** Fifteen processes start at once on perhaps two cores. */
const READY_TIMEOUT_MS = 60_000;

/** The ports in a log line, if it is the one that names them. */
export function parseListeningLine(line: string): SidecarPorts | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const { msg, ports } = JSON.parse(line) as { msg?: unknown; ports?: SidecarPorts };
    return msg === "listening" ? ports : undefined;
  } catch {
    return undefined;
  }
}

/** Resolves with the ports once the sidecar is ready. It needs a probe or an admin port. */
export async function waitUntilReady(child: Child): Promise<SidecarPorts> {
  const ports = await child.waitForLine(parseListeningLine);
  const endMs = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const { statusCode, body } = await request(`http://${ports.probe ?? ports.admin}/ready`);
    const text = await body.text();
    if (statusCode === 200) return ports;
    if (performance.now() > endMs)
      throw pillionError("PILLION_UNCLASSIFIED", { problem: `${child.name} waits: ${text}` });
    await Promise.race([pause(LOOK_MS), child.failed]);
  }
}
