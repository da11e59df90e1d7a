// Known names: every constant of abi/field-names.ts finds its text, every text its constant, and nothing else does.

import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { PROXY_SCRATCH } from "../../../assembly/abi/engine-memory.ts";
import * as constants from "../../../assembly/abi/field-names.ts";
import { HpackModel } from "../../models/hpack.ts";
import { type Hpack, loadHpack } from "../../support/hpack.ts";

const { NAME_OTHER, NAME_PSEUDO_LAST, NAMES_COUNT } = constants;

const ids = new Map<string, number>();
for (const [constant, id] of Object.entries(constants)) {
  if (!constant.startsWith("NAME_") || /_(OTHER|FIRST|LAST)$/.test(constant)) continue;
  const text = constant.slice("NAME_".length).toLowerCase().replaceAll("_", "-");
  ids.set(id <= NAME_PSEUDO_LAST ? `:${text}` : text, id);
}

let hpack: Hpack;
beforeAll(async () => {
  hpack = await loadHpack();
});

function nameIdOf(name: string): number {
  hpack.put(PROXY_SCRATCH, name);
  return hpack.exports.nameIdOf(PROXY_SCRATCH, name.length);
}

test("every name has its number, and every number its name", () => {
  expect(ids.size).toBeGreaterThan(70);
  for (const [name, id] of ids) {
    expect(id).toBeLessThan(NAMES_COUNT);
    expect([name, nameIdOf(name)]).toEqual([name, id]);
    expect(hpack.text(hpack.exports.namePtr(id), hpack.exports.nameLen(id))).toBe(name);
  }
});

test("what is not exactly a name is none", () => {
  expect(nameIdOf("")).toBe(NAME_OTHER);
  for (const [name] of ids) {
    const others = [`${name}x`, `x${name}`, name.slice(1), name.slice(0, -1), name.toUpperCase(), `${name}\0`];
    for (let at = 0; at < name.length; at += 1) {
      others.push(`${name.slice(0, at)}!${name.slice(at + 1)}`);
    }
    for (const other of others) {
      expect([other, nameIdOf(other)]).toEqual([other, ids.get(other) ?? NAME_OTHER]);
    }
  }
});

test("random texts agree with a map", () => {
  const pieces = fc.constantFrom(...[...ids.keys()].flatMap((name) => name.split("-")), "x", "-", ":", "\xff");
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 5 }), (parts) => {
      const name = parts.join("-");
      expect(nameIdOf(name)).toBe(ids.get(name) ?? NAME_OTHER);
    }),
    { numRuns: 2000 },
  );
});

test("every name of HPACK's static table is known by its first index", () => {
  const model = new HpackModel();
  const first = new Map<string, number>();
  for (let index = 61; index > 0; index -= 1) first.set(model.row(index)![0], index);
  expect(first.size).toBe(52);
  for (const name of first.keys()) expect(ids.has(name)).toBe(true);
  for (const [name, id] of ids) expect([name, hpack.exports.staticIndexOf(id)]).toEqual([name, first.get(name) ?? 0]);
});

test("the generated file is up to date", async () => {
  const generator = "../../../tools/generate-names.mjs";
  const { checkNamesTable } = (await import(generator)) as { checkNamesTable(): boolean };
  expect(checkNamesTable()).toBe(true);
});
