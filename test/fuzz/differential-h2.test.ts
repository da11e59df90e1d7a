// Goal: no disagreement with Node's HTTP/2 (nghttp2) about a request that nobody can explain. Method: the vectors of
// test/support/smuggling-vectors.ts, on which the engine's verdict is tested through a sidecar, sent to node:http2.

import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as h2 from "../support/frames.ts";
import { waitUntil } from "../support/process.ts";
import { H2_VECTORS, type H2Vector } from "../support/smuggling-vectors.ts";

const DROPS = "nghttp2 drops a field that is none and goes on; RFC 9113 §8.2.1 has the message malformed";
const PATHS = "nghttp2 takes any byte above 32 in a path; what servers behind us read differently is refused";

/** Vectors on which the two differ. */
const EXPLANATIONS: Readonly<Record<string, string>> = {
  "trailers that frame": "nghttp2 refuses a length in trailers; we drop it (RFC 9110 §6.5.1)",
  "CR LF in a value": DROPS,
  "a request in a value": DROPS,
  "CR in a value": DROPS,
  "LF in a value": DROPS,
  "NUL in a value": DROPS,
  "a blank before a value": DROPS,
  "a tab behind a value": DROPS,
  "CR LF in a name": DROPS,
  "a colon in a name": DROPS,
  "a blank in a name": DROPS,
  "an empty name": DROPS,
  "bytes above 127 in a name": DROPS,
  "CR LF in trailers": DROPS,
  transfer_encoding: "an underscore is a hyphen to CGI programs",
  content_length: "an underscore is a hyphen to CGI programs",
  "an escaped NUL in a path": PATHS,
  "a fragment in a path": PATHS,
  "a backslash in a path": PATHS,
  "bytes above 127 in a path": PATHS,
  "an unknown scheme": "nghttp2 takes every scheme; a proxy of HTTP knows two",
  "two hosts in an authority": "a comma would be two hosts to some servers (RFC 9110 §7.2)",
  "a host that differs": "nghttp2 leaves it to its user; RFC 9113 §8.3.1 has it malformed",
  "TRACE with a body": "RFC 9110 §9.3.8 forbids it to clients",
};

let server: Http2Server;
const differing = new Set<string>();

beforeAll(async () => {
  server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.resume();
    stream.on("end", () => {
      if (stream.aborted || stream.rstCode !== 0) return;
      stream.respond({ ":status": 200 });
      stream.end();
    });
  });
  server.on("sessionError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

/** Whether node:http2 takes the request. */
async function isTaken({ fields, data = [], trailers }: H2Vector): Promise<boolean> {
  const { port } = server.address() as { port: number };
  const socket = connect({ host: "127.0.0.1", port });
  const reader = new h2.FrameReader(false);
  const printer = new h2.FramePrinter();
  const lines: string[] = [];
  let isClosed = false;
  socket.on("error", () => {});
  socket.on("data", (bytes: Buffer) => lines.push(...printer.print(reader.read(bytes))));
  socket.on("close", () => {
    isClosed = true;
  });
  const isBare = data.length === 0 && trailers === undefined;
  const frames = [h2.PREFACE, h2.settings(), h2.headers(1, fields, h2.END_HEADERS | (isBare ? h2.END_STREAM : 0))];
  data.forEach((part, index) => {
    frames.push(h2.data(1, part, index === data.length - 1 && trailers === undefined ? h2.END_STREAM : 0));
  });
  if (trailers !== undefined) frames.push(h2.headers(1, trailers, h2.END_HEADERS | h2.END_STREAM));
  socket.write(Buffer.concat(frames));
  const outcome = () => lines.find((line) => /^(HEADERS 1|RST_STREAM 1|GOAWAY)/.test(line));
  await waitUntil("the request has an end", () => outcome() !== undefined || isClosed);
  socket.destroy();
  return /:status 200/.test(outcome() ?? "");
}

test("every disagreement is explained", async () => {
  for (const vector of H2_VECTORS) {
    if ((await isTaken(vector)) !== vector.arrives) differing.add(vector.name);
  }
  expect([...differing].filter((name) => EXPLANATIONS[name] === undefined)).toEqual([]);
  expect(Object.keys(EXPLANATIONS).filter((name) => !differing.has(name))).toEqual([]);
});
