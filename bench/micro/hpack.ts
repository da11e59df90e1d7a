// What a field block costs, decoded and encoded: the first of a connection, all literals, and one like those before,
// which is mostly indices.

import { ENCODE_BUFFER, PROXY_SCRATCH, READ_BUFFER } from "../../assembly/abi/engine-memory.ts";
import { type Field, field, Hpack, type HpackExports } from "../../test/support/hpack.ts";
import { type Row, timeLoop } from "./clock.ts";
import { loadModule } from "./modules.ts";

interface Loops extends HpackExports {
  decodeRepeatedly(table: number, ptr: number, length: number, times: number): number;
  encodeRepeatedly(table: number, fields: number, count: number, times: number): number;
}

const BLOCKS: Readonly<Record<string, readonly Field[]>> = {
  "gRPC request": [
    field(":method", "POST"),
    field(":scheme", "http"),
    field(":path", "/users.v1.Users/Read"),
    field(":authority", "users"),
    field("content-type", "application/grpc"),
    field("te", "trailers"),
    field("user-agent", "grpc-node-js/1.14.7"),
    field("grpc-timeout", "1500m"),
    field("x-request-id", "6f1f6f0e-8c1b-4a57-9a7c-0d9b1f3a7c55"),
  ],
  response: [
    field(":status", "200"),
    field("content-type", "application/json"),
    field("content-length", "1024"),
    field("date", "Sat, 21 Nov 2026 10:00:00 GMT"),
    field("server", "users/1.0"),
    field("cache-control", "no-store"),
  ],
};

/** Words of a field for `encodeRepeatedly`. */
const FIELD_WORDS = 5;

/** Decoding and encoding of both blocks. */
export function* measureHpack(): Generator<Row> {
  const module = loadModule<Loops>("hpack");
  const { exports, bytes, view } = module;
  const hpack = new Hpack(module);
  for (const [name, fields] of Object.entries(BLOCKS)) {
    const sender = hpack.createTables();
    exports.setHuffman(exports.encoderOf(sender), 1);
    const first = hpack.encode(sender, fields);
    const next = hpack.encode(sender, fields);
    const receiver = hpack.createTables();
    const decode = (block: Buffer) => {
      bytes.set(block, READ_BUFFER);
      return (times: number) =>
        void exports.decodeRepeatedly(exports.decoderOf(receiver), READ_BUFFER, block.length, times);
    };
    yield timeLoop("HPACK decode", `${name}, first, Huffman, ${first.length} bytes`, decode(first));
    // Its indices are of the table that the first left behind.
    const again = hpack.createTables();
    hpack.decode(again, first);
    bytes.set(next, READ_BUFFER);
    yield timeLoop("HPACK decode", `${name}, next, ${next.length} bytes`, (times) => {
      exports.decodeRepeatedly(exports.decoderOf(again), READ_BUFFER, next.length, times);
    });
    const at = layFields(hpack, view, fields);
    const encoder = exports.encoderOf(hpack.createTables());
    const length = exports.encodeRepeatedly(encoder, at, fields.length, 2);
    yield timeLoop("HPACK encode", `${name}, next, ${length} bytes`, (times) => {
      exports.encodeRepeatedly(encoder, at, fields.length, times);
    });
  }
}

/** Writes fields as `encodeRepeatedly` reads them; where. */
function layFields(hpack: Hpack, view: DataView, fields: readonly Field[]): number {
  let text = PROXY_SCRATCH + fields.length * FIELD_WORDS * 4;
  if (text + 4_096 > ENCODE_BUFFER && PROXY_SCRATCH < ENCODE_BUFFER) throw new Error("no room for the fields");
  const put = (value: string) => {
    hpack.put(text, value);
    text += value.length;
    return text - value.length;
  };
  for (const [index, { name, value }] of fields.entries()) {
    const [namePtr, valuePtr] = [put(name), put(value)];
    const id = hpack.exports.nameIdOf(namePtr, name.length);
    for (const [word, number] of [id, namePtr, name.length, valuePtr, value.length].entries()) {
      view.setUint32(PROXY_SCRATCH + (index * FIELD_WORDS + word) * 4, number, true);
    }
  }
  return PROXY_SCRATCH;
}
