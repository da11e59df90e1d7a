// docs/KEYSPACE.md and docs/mesh.schema.json are what the schemas say. With -u this test writes them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { meshFileJsonSchema } from "../../../src/config/json-schema.ts";
import { formatKeyspaceDoc } from "../../../src/config/keyspace-doc.ts";
import { NOT_YET } from "../../../src/config/not-yet.ts";
import { projectRoot } from "../../support/source.ts";

test("docs/KEYSPACE.md is fresh", async () => {
  await expect(formatKeyspaceDoc()).toMatchFileSnapshot(join(projectRoot, "docs/KEYSPACE.md"));
});

test("docs/mesh.schema.json is fresh", async () => {
  const text = `${JSON.stringify(meshFileJsonSchema(), undefined, 2)}\n`;
  await expect(text).toMatchFileSnapshot(join(projectRoot, "docs/mesh.schema.json"));
});

test("every field that is not acted on is marked in the page", () => {
  const page = readFileSync(join(projectRoot, "docs/KEYSPACE.md"), "utf8");
  const lines = page.split("\n");
  for (const { kind, path, effect } of NOT_YET) {
    // Defaults and rules share their policy with services; the page explains it once.
    if (kind === "mesh" || (kind === "route" && path.length > 3)) continue;
    const field = path.length === 0 ? "Key `/pillion/access" : `| \`${path.join(".").replace(".*", "[]")}\``;
    expect(lines.filter((line) => line.startsWith(field) && line.includes("**Not yet"))).toContainEqual(
      expect.stringContaining(`${effect}.`),
    );
  }
});
