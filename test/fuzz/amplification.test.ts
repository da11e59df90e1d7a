// Goal: no client makes the engine hold or send a hundred times what it sent itself, and none that has not sent a whole
// request holds a mebibyte. Method: the worst conversation of each kind (amplification.ts), metered in a world; the
// table is docs/AMPLIFICATION.md, which this test compares and, with -u, writes.

import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import {
  CHUNK_BYTES,
  H2_PEER_STREAMS_MAX,
  H2_PEER_WIDE_STREAMS_MAX,
  H2_STREAMS_MAX,
  H2_UPSTREAM_WINDOW_BYTES,
  H2_WIDE_STREAMS_MAX,
} from "../../assembly/abi/limits.ts";
import { Meter, type Reading } from "../support/meter.ts";
import { projectRoot } from "../support/source.ts";
import { prepareWorlds } from "../support/world.ts";
import { CONVERSATIONS, type Conversation } from "./amplification.ts";

/** Envoy's threat model: 10 KiB in may not cost 1 MiB. Below 10 KiB a ratio says nothing. */
const INPUT_BYTES_MIN = 10_240;
const RATIO_MAX = 100;
const HEADLESS_BYTES_MAX = 1_048_576;

const readings = new Map<Conversation, Reading>();

beforeAll(async () => {
  const make = await prepareWorlds();
  for (const one of CONVERSATIONS) {
    const meter = new Meter(make, one.mesh, one.isDeclared);
    one.hold(meter);
    readings.set(one, meter.read());
  }
});

const heldRatio = ({ held, receivedThen }: Reading) => held / Math.max(receivedThen, INPUT_BYTES_MIN);
const sentRatio = ({ sentBack, received }: Reading) => sentBack / Math.max(received, 1);

test.each(CONVERSATIONS)("$name", (one) => {
  const reading = readings.get(one)!;
  expect(reading.held).toBeGreaterThan(0);
  expect(sentRatio(reading)).toBeLessThanOrEqual(RATIO_MAX);
  if (one.isHeadless) expect(reading.held).toBeLessThanOrEqual(HEADLESS_BYTES_MAX);
  const streams = one.isDeclared ? H2_PEER_STREAMS_MAX : H2_STREAMS_MAX;
  if (one.isFedByUpstream)
    expect(reading.held).toBeLessThanOrEqual(streams * (H2_UPSTREAM_WINDOW_BYTES + CHUNK_BYTES + 4_096));
  // What is known to be above must be, or it is not known well: whoever mends it takes the mark away.
  else if (one.above !== undefined) expect(heldRatio(reading)).toBeGreaterThan(RATIO_MAX);
  else expect(heldRatio(reading)).toBeLessThanOrEqual(RATIO_MAX);
});

test("docs/AMPLIFICATION.md is fresh", async () => {
  await expect(document()).toMatchFileSnapshot(join(projectRoot, "docs/AMPLIFICATION.md"));
});

function document(): string {
  const rows = CONVERSATIONS.map((one) => {
    const reading = readings.get(one)!;
    const ratio = one.isFedByUpstream ? "by windows" : heldRatio(reading).toFixed(1);
    const mark = one.above === undefined ? "" : ` **above: ${one.above}**`;
    const cells = [one.name + mark, kib(reading.received), kib(reading.held), ratio];
    return `| ${[...cells, sentRatio(reading).toFixed(1), kib(reading.sentOn)].join(" | ")} |`;
  });
  return `# Amplification

<!-- Made by test/fuzz/amplification.test.ts, which compares and, with -u, writes it. -->

What the worst conversations of each kind cost: one hostile client of an idle engine, in virtual time, upstreams that do
what is worst. *Held* is memory of the engine at the worst moment: blocks of the pool and records of the tables. *Back*
is what went to the client. Ratios are for each byte that the client had sent, counted as ${kib(INPUT_BYTES_MIN)} KiB at
least; none may be above ${RATIO_MAX}, and a client that has not sent a whole request holds at most
${kib(HEADLESS_BYTES_MAX)} KiB.

| conversation | sent, KiB | held, KiB | held : sent | back : sent | sent upstream, KiB |
|---|---|---|---|---|---|
${rows.join("\n")}

*By windows*: the upstream's bytes wait for a client that takes none. No ratio bounds that, for a request of thirteen
bytes may have an answer of any length: the stream window or the size of a read (${kib(H2_UPSTREAM_WINDOW_BYTES)} KiB,
more only for ${H2_WIDE_STREAMS_MAX} streams of a client that reads) bounds each stream, ${H2_STREAMS_MAX} streams
a connection, and the pool all of them (windows shrink when 80 % of it is used, and new requests are refused from 95 %
on).

*As Pillion*: clients that say they are Pillion too (SETTINGS 0xf0f1 = 1), as anybody can. They have wider budgets,
${H2_PEER_STREAMS_MAX} streams and ${H2_PEER_WIDE_STREAMS_MAX} of them with the large window.

What HPACK names in one byte, HTTP/1.1 writes in full: upstream traffic is not bounded by a ratio, only by the size of a
head. That is so for honest clients with a large cookie, too.
`;
}

function kib(bytes: number): string {
  return (bytes / 1024).toFixed(1);
}
