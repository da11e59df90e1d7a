// What the demo shows: a table by instance, redrawn in place on a terminal, summary lines elsewhere.
//
// The figures are the outbound sidecar's own (`/instances` of its admin port): what an operator would see.

import { request } from "undici";
import { formatTable, paint, type Terminal, widthOf } from "../terminal.ts";
import { DEMO_SERVICES } from "./plan.ts";

/** One row of `/instances`, as far as it is shown. */
export interface InstanceFigures {
  readonly service: string;
  readonly id: string;
  readonly requests: number;
  readonly errors: number;
  readonly inFlight: number;
  readonly p50Us?: number | undefined;
  readonly p99Us?: number | undefined;
}

/** Reads the figures from an admin port. */
export async function readInstances(admin: string): Promise<readonly InstanceFigures[]> {
  const { statusCode, body } = await request(`http://${admin}/instances`);
  const answer = (await body.json()) as { instances: InstanceFigures[] };
  if (statusCode !== 200) throw new Error(`the admin port answers ${statusCode}`);
  return answer.instances;
}

/** The table of the demo's own services; `before` are the figures of `elapsedMs` ago. */
export function formatInstances(
  terminal: Terminal,
  figures: readonly InstanceFigures[],
  before: readonly InstanceFigures[],
  elapsedMs: number,
): string {
  const head = ["service", "instance", "requests", "per second", "in flight", "p50", "p99", "errors"];
  const rows = [head.map((text) => paint(terminal, "dim", text))];
  const known: readonly string[] = DEMO_SERVICES.map(({ service }) => service);
  let lastService = "";
  for (const row of figures.filter(({ service }) => known.includes(service))) {
    const earlier =
      before.find(({ service, id }) => service === row.service && id === row.id)?.requests ?? row.requests;
    const rate = elapsedMs > 0 ? (row.requests - earlier) / (elapsedMs / 1000) : 0;
    rows.push([
      row.service === lastService ? "" : paint(terminal, "bold", row.service),
      row.id,
      rightAlign(`${row.requests}`, head[2]),
      rightAlign(rate.toFixed(1), head[3]),
      rightAlign(`${row.inFlight}`, head[4]),
      rightAlign(formatMs(row.p50Us), "00.00 ms"),
      rightAlign(formatMs(row.p99Us), "00.00 ms"),
      paint(terminal, row.errors > 0 ? "red" : "green", `${row.errors}`),
    ]);
    lastService = row.service;
  }
  return formatTable(rows);
}

/** One line for each service, for who reads lines. */
export function formatLines(figures: readonly InstanceFigures[]): string {
  return DEMO_SERVICES.map(({ service }) => {
    const rows = figures.filter((row) => row.service === service);
    const sum = (field: "requests" | "errors" | "inFlight") => rows.reduce((total, row) => total + row[field], 0);
    const shares = rows.map(({ id, requests }) => `${id} ${requests}`).join(", ");
    const now = `${sum("inFlight")} in flight, ${sum("errors")} errors`;
    return `${service}: ${sum("requests")} requests (${shares}), ${now}\n`;
  }).join("");
}

function rightAlign(text: string, like: string | undefined): string {
  return text.padStart(widthOf(like ?? ""));
}

function formatMs(us: number | undefined): string {
  return us === undefined ? "–" : `${(us / 1000).toFixed(2)} ms`;
}

/** A block of lines that replaces itself on the terminal. */
export interface Block {
  draw(text: string): void;
}

const CURSOR_UP = (lines: number) => `\x1b[${lines}F`;
const CLEAR_BELOW = "\x1b[J";

/** Draws below what was printed before; a block that does not fit the terminal any more starts anew. */
export function createBlock(terminal: Terminal): Block {
  let linesDrawn = 0;
  return {
    draw(text) {
      const up = linesDrawn > 0 && linesDrawn < terminal.rows ? `${CURSOR_UP(linesDrawn)}${CLEAR_BELOW}` : "";
      terminal.write(`${up}${text}`);
      linesDrawn = text.split("\n").length - 1;
    },
  };
}
