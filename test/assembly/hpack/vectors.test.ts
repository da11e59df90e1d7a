// The examples of RFC 7541 Appendix C, the generated tables, and the Huffman code against its plain twin.

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { ENCODE_BUFFER, PROXY_SCRATCH, READ_BUFFER } from "../../../assembly/abi/engine-memory.ts";
import { HPACK_BAD_INTEGER, HPACK_TRUNCATED } from "../../../assembly/abi/hpack-codes.ts";
import { ENGINE_MEMORY_BYTES } from "../../../assembly/abi/limits.ts";
import { decodeHuffmanModel, encodeHuffmanModel, encodeIntegerModel, HpackModel } from "../../models/hpack.ts";
import { field, type Hpack, hex, loadHpack } from "../../support/hpack.ts";

let hpack: Hpack;
beforeAll(async () => {
  hpack = await loadHpack();
});

const REQUESTS = [
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
  [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"],
];
const COOKIE = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const LOCATION = "location: https://www.example.com";
const RESPONSES = [
  [":status: 302", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", LOCATION],
  [":status: 307", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", LOCATION],
  [
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    LOCATION,
    "content-encoding: gzip",
    COOKIE,
  ],
];

/** Decodes blocks that share a table; the figures are the table's sizes after each. */
function expectBlocks(limit: number, blocks: [wire: string, fields: string[], size: number][]): void {
  const at = hpack.createTables();
  const decoder = hpack.exports.decoderOf(at);
  hpack.exports.setDecoderLimit(decoder, limit);
  for (const [wire, expected, size] of blocks) {
    const { fields, end } = hpack.decode(at, hex(wire));
    expect(end).toBe(0);
    expect(fields.map(({ name, value }) => `${name}: ${value}`)).toEqual(expected);
    expect(hpack.exports.tableSize(decoder)).toBe(size);
  }
  hpack.destroyTables(at);
}

describe("RFC 7541 Appendix C", () => {
  test("C.1 integers", () => {
    for (const [mask, value, wire] of [
      [31, 10, "0a"],
      [31, 1337, "1f9a0a"],
      [255, 42, "2a"],
    ] as const) {
      const end = hpack.exports.encodeInteger(ENCODE_BUFFER, 0, mask, value);
      expect(hpack.copy(ENCODE_BUFFER, end - ENCODE_BUFFER).toString("hex")).toBe(wire);
      expect(hpack.exports.decodeInteger(ENCODE_BUFFER, end, mask)).toBe(end);
      expect(hpack.exports.integer.value).toBe(value);
    }
  });

  test("C.2 representations", () => {
    const header = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    expectBlocks(4096, [[header, ["custom-key: custom-header"], 55]]);
    expectBlocks(4096, [["040c 2f73 616d 706c 652f 7061 7468", [":path: /sample/path"], 0]]);
    expectBlocks(4096, [["82", [":method: GET"], 0]]);
    const at = hpack.createTables();
    const { fields } = hpack.decode(at, hex("1008 7061 7373 776f 7264 0673 6563 7265 74"));
    expect(fields).toEqual([field("password", "secret", true)]);
    expect(hpack.exports.tableCount(hpack.exports.decoderOf(at))).toBe(0);
    hpack.destroyTables(at);
  });

  test("C.3 requests without Huffman", () => {
    expectBlocks(4096, [
      ["8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0]!, 57],
      ["8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1]!, 110],
      ["8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", REQUESTS[2]!, 164],
    ]);
  });

  test("C.4 requests with Huffman", () => {
    expectBlocks(4096, [
      ["8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0]!, 57],
      ["8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1]!, 110],
      ["8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUESTS[2]!, 164],
    ]);
  });

  // The examples set the table to 256 bytes beforehand: a size update in front says so.
  test("C.5 responses without Huffman, with evictions", () => {
    expectBlocks(256, [
      [
        `3fe101 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
         3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        RESPONSES[0]!,
        222,
      ],
      ["4803 3330 37c1 c0bf", RESPONSES[1]!, 222],
      [
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
         2076 6572 7369 6f6e 3d31`,
        RESPONSES[2]!,
        215,
      ],
    ]);
  });

  test("C.6 responses with Huffman, with evictions", () => {
    expectBlocks(256, [
      [
        `3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
         1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
        RESPONSES[0]!,
        222,
      ],
      ["4883 640e ffc1 c0bf", RESPONSES[1]!, 222],
      [
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
        RESPONSES[2]!,
        215,
      ],
    ]);
  });
});

test("Appendix A: every static entry", () => {
  const at = hpack.createTables();
  const block = Buffer.from(Array.from({ length: 61 }, (_, index) => 0x81 + index));
  const model = new HpackModel();
  const { fields } = hpack.decode(at, block);
  expect(fields).toEqual(Array.from({ length: 61 }, (_, index) => field(...model.row(index + 1)!)));
  hpack.destroyTables(at);
});

test("the generated files are up to date", async () => {
  const generator = "../../../tools/generate-hpack.mjs";
  const { checkHpackTables } = (await import(generator)) as { checkHpackTables(): string[] };
  expect(checkHpackTables()).toEqual([]);
});

describe("integers (§5.1)", () => {
  test("all prefixes, there and back", () => {
    const prefix = fc.integer({ min: 4, max: 7 });
    const value = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 2 ** 28 }));
    fc.assert(
      fc.property(prefix, value, (bits, number) => {
        const mask = 2 ** bits - 1;
        const end = hpack.exports.encodeInteger(READ_BUFFER, 0, mask, number);
        const octets = hpack.copy(READ_BUFFER, end - READ_BUFFER);
        expect([...octets]).toEqual(encodeIntegerModel(0, mask, number));
        expect(hpack.exports.decodeInteger(READ_BUFFER, end, mask)).toBe(end);
        expect(hpack.exports.integer.value).toBe(number);
        for (let cut = READ_BUFFER; cut < end; cut += 1) {
          expect(hpack.exports.decodeInteger(READ_BUFFER, cut, mask)).toBe(0);
          expect(hpack.exports.integerError.value).toBe(HPACK_TRUNCATED);
        }
      }),
    );
  });

  test("a sixth octet is refused, even one that adds nothing", () => {
    for (const wire of ["1fffffffffff01", "1f808080808000", "1fffffffffffffffffff7f"]) {
      hpack.put(READ_BUFFER, hex(wire).toString("latin1"));
      expect(hpack.exports.decodeInteger(READ_BUFFER, READ_BUFFER + wire.length / 2, 31)).toBe(0);
      expect(hpack.exports.integerError.value).toBe(HPACK_BAD_INTEGER);
    }
  });
});

describe("Huffman code (§5.2)", () => {
  const OUT = PROXY_SCRATCH;

  function decode(code: Uint8Array): string | undefined {
    hpack.put(READ_BUFFER, Buffer.from(code).toString("latin1"));
    const length = hpack.exports.decodeHuffman(READ_BUFFER, code.length, OUT, -1);
    expect(hpack.exports.decodeHuffman(READ_BUFFER, code.length, ENCODE_BUFFER, 0)).toBe(length); // counting agrees
    return length < 0 ? undefined : hpack.text(OUT, length);
  }

  test("every symbol, alone and in front of every other", () => {
    for (let first = 0; first < 256; first += 1) {
      expect(decode(encodeHuffmanModel(String.fromCharCode(first)))).toBe(String.fromCharCode(first));
      for (let second = 0; second < 256; second += 1) {
        const text = String.fromCharCode(first, second);
        if (decode(encodeHuffmanModel(text)) !== text) expect.fail(`${first} ${second}`);
      }
    }
  });

  test("random texts both ways, like the plain twin", () => {
    const anyByte = fc.integer({ min: 0, max: 255 });
    const letter = fc.integer({ min: 32, max: 126 });
    const texts = fc.oneof(fc.array(anyByte, { maxLength: 80 }), fc.array(letter, { maxLength: 200 }));
    fc.assert(
      fc.property(texts, (bytes) => {
        const text = String.fromCharCode(...bytes);
        const code = encodeHuffmanModel(text);
        expect(decode(code)).toBe(text);
        hpack.put(READ_BUFFER, text);
        expect(hpack.exports.huffmanLength(READ_BUFFER, text.length)).toBe(code.length);
        const end = hpack.exports.encodeHuffman(OUT, READ_BUFFER, text.length);
        expect(hpack.copy(OUT, end - OUT)).toEqual(code);
      }),
      { numRuns: 500 },
    );
  });

  test("random bytes are accepted or refused like by the plain twin", () => {
    const ones = fc.constantFrom(0xff, 0xfe, 0xfc, 0x7f);
    const code = fc.uint8Array({ maxLength: 30 });
    const ending = fc.array(fc.oneof(ones, fc.integer({ min: 0, max: 255 })), { maxLength: 5 });
    fc.assert(
      fc.property(code, ending, (octets, rest) => {
        const all = Uint8Array.from([...octets, ...rest]);
        expect(decode(all)).toBe(decodeHuffmanModel(all));
      }),
      { numRuns: 5000 },
    );
  });

  test("code that ends where memory ends", () => {
    for (const text of ["a", "www.example.com", "x-custom: \xff"]) {
      const code = encodeHuffmanModel(text);
      const ptr = hpack.put(ENGINE_MEMORY_BYTES - code.length, code.toString("latin1"));
      expect(hpack.exports.decodeHuffman(ptr, code.length, OUT, -1)).toBe(text.length);
      expect(hpack.text(OUT, text.length)).toBe(text);
    }
  });

  test("padding: up to 7 ones, and nothing else", () => {
    expect(decode(hex("1f"))).toBe("a"); // 00011 and 3 ones
    expect(decode(hex("1fff"))).toBeUndefined(); // 11 ones
    expect(decode(hex("1e"))).toBeUndefined(); // 110
    expect(decode(hex("18"))).toBeUndefined(); // zeros
    expect(decode(hex("ff"))).toBeUndefined(); // 8 ones
    expect(decode(hex("fffffffc"))).toBeUndefined(); // EOS
    expect(decode(hex("1ffffffffe3f"))).toBeUndefined(); // EOS within
    expect(decode(hex(""))).toBe("");
  });
});
