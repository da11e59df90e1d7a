// Bugs that are planted in the engine's sources, one at a time: a fuzzer that does not find its own proves nothing.

import type { Mutation } from "../support/wasm.ts";

export interface Mutant extends Mutation {
  readonly name: string;
  /** Testing module that is compiled with it. */
  readonly part: "h1" | "hpack" | "h2" | "engine";
  readonly fuzzer: "h1" | "hpack" | "h2" | "conversation";
  /** Seeds within which it must be found. */
  readonly seedsMax: number;
}

/** The first of each fuzzer is tried in every test run, the others with PILLION_FULL=1. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "a coding beside a length is let through",
    part: "h1",
    fuzzer: "h1",
    seedsMax: 5_000,
    file: "assembly/engine/h1/framing.ts",
    from: "return isChunked && (isOld || contentLength >= 0) ? REASON_BAD_REQUEST : REASON_NONE;",
    to: "return isChunked && isOld ? REASON_BAD_REQUEST : REASON_NONE;",
  },
  {
    name: "a chunk may end with anything before its LF",
    part: "h1",
    fuzzer: "h1",
    seedsMax: 20_000,
    file: "assembly/engine/h1/chunked.ts",
    from: "state = byte == 13 ? STATE_CHUNK_DATA_LF : STATE_BAD;",
    to: "state = STATE_CHUNK_DATA_LF;",
  },
  {
    name: "a second host is overlooked",
    part: "h1",
    fuzzer: "h1",
    seedsMax: 20_000,
    file: "assembly/engine/h1/framing.ts",
    from: "if (hostAt != 0) return REASON_BAD_REQUEST;",
    to: "",
  },
  {
    name: "Huffman code may be padded with anything",
    part: "hpack",
    fuzzer: "hpack",
    seedsMax: 5_000,
    file: "assembly/engine/hpack/huffman.ts",
    from: "if (bits > 7 || u32(buffer >> 57) != ((127 << (7 - bits)) & 127)) return -1;",
    to: "if (bits > 7) return -1;",
  },
  {
    name: "a table evicts one entry too many",
    part: "hpack",
    fuzzer: "hpack",
    seedsMax: 5_000,
    file: "assembly/engine/hpack/dynamic-table.ts",
    from: "} while (size > bytes);",
    to: "} while (size >= bytes && count != 0);",
  },
  {
    name: "padding counts as data",
    part: "h2",
    fuzzer: "h2",
    seedsMax: 500,
    file: "assembly/engine/h2/data.ts",
    from: "acceptData(connection, id, left - 1 - padding, padding, padding + 1,",
    to: "acceptData(connection, id, left - 1, 0, padding + 1,",
  },
  {
    name: "what is passed over ends with the input",
    part: "h2",
    fuzzer: "h2",
    seedsMax: 5_000,
    file: "assembly/engine/h2/data.ts",
    from: "skip(connection, left - part);",
    to: "skip(connection, 0);",
  },
  {
    name: "what a stream took is sent to it again",
    part: "engine",
    fuzzer: "conversation",
    seedsMax: 200,
    file: "assembly/engine/proxy/pipe.ts",
    from: "if (source != 0) passOn(source, sink, part);\n      from += part;",
    to: "if (source != 0) passOn(source, sink, part);",
  },
  {
    name: "a kept head points into the next reader's bytes",
    part: "engine",
    fuzzer: "conversation",
    seedsMax: 200,
    file: "assembly/engine/http/head.ts",
    from: "store<u32>(field, at, FIELD_VALUE);\n    at += valueBytes;\n  }\n  store<u32>(copy, at, HEAD_TEXT_END);",
    to: "at += valueBytes;\n  }\n  store<u32>(copy, at, HEAD_TEXT_END);",
  },
  {
    name: "eight bytes of released memory go out behind a chunk",
    part: "engine",
    fuzzer: "conversation",
    seedsMax: 200,
    file: "assembly/engine/tables/output.ts",
    from: "memory.copy(outputCursor(connection), from, part);\n    advanceOutput(connection, part);",
    to: "memory.copy(outputCursor(connection), from, part);\n    advanceOutput(connection, min(part + 8, room));",
  },
  {
    name: "whatever is slow is hedged",
    part: "engine",
    fuzzer: "conversation",
    seedsMax: 400,
    file: "assembly/engine/proxy/hedge.ts",
    from: "if (isAllowed && ",
    to: "if (",
  },
  {
    name: "a rival that was taken over leaves its instance too",
    part: "engine",
    fuzzer: "conversation",
    seedsMax: 400,
    file: "assembly/engine/proxy/hedge.ts",
    from: "clearX(from, moved);",
    to: "",
  },
  {
    name: "trailers are never given back",
    part: "engine",
    fuzzer: "conversation",
    seedsMax: 400,
    file: "assembly/engine/proxy/pipe.ts",
    from: "if (load<u32>(pipe, P_TRAILERS) != 0) releaseHead(load<u32>(pipe, P_TRAILERS));\n",
    to: "",
  },
];
