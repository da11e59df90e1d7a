// `pillion version` and the table printer that the commands share.

import { expect, test } from "vitest";
import manifest from "../../../package.json" with { type: "json" };
import { formatTable, paint, widthOf } from "../../../src/cli/terminal.ts";
import { printVersion, readVersion } from "../../../src/cli/version.ts";
import { createFakeTerminal } from "../../support/terminal.ts";

test("names the package's version and the Node that runs it", () => {
  expect(readVersion()).toBe(manifest.version);
  const terminal = createFakeTerminal();
  printVersion(terminal, { output: "text" });
  expect(terminal.out).toBe(
    `pillion ${manifest.version} (node ${process.version}, ${process.platform}-${process.arch})\n`,
  );
  const machine = createFakeTerminal();
  printVersion(machine, { output: "json" });
  expect(JSON.parse(machine.out)).toMatchObject({ pillion: manifest.version, node: process.version });
});

test("columns line up by what is seen", () => {
  const terminal = createFakeTerminal({ isTty: true });
  const red = paint(terminal, "red", "no");
  expect(red).not.toBe("no");
  expect(widthOf(red)).toBe(2);
  expect(paint(createFakeTerminal(), "red", "no")).toBe("no");
  expect(
    formatTable([
      ["name", "is"],
      [red, "x"],
    ]),
  ).toBe(`name  is\n${red}    x\n`);
});
