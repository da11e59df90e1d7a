// docs/ATTACKS.md: what each attack cost when all ran at full length.

export function attacksPage(rows: readonly string[]): string {
  return `# Attacks

<!-- Written by PILLION_FULL=1 PILLION_TABLE=1 npm test -- test/integration/attacks.test.ts -->

Every attack of the catalogue at full length, on real sockets, each against a sidecar of its own with one worker and its
default limits. *Growth* is the most resident memory that the process had during the attack, above what it had before
it; the test fails from 64 MiB on, and where the bystander, who asks 200 times a second on another connection, sees one
error. Attackers of the second kind say that they are Pillion too (SETTINGS 0xf0f1 = 1), as anybody can, and have
budgets sixteen times as wide; where that takes more, they do more.

*Ends*: the GOAWAY that cuts the attacker off; or its work is bounded and its connection is still served. The numbers of
the attacks are those of \`assembly/abi/limits.ts\`. Times are of one run on two shared cores, clients and servers
included.

| attack | by | ends | glitches counted | growth, MiB | takes, s | bystander's p99 before / during, ms |
|---|---|---|---|---|---|---|
${rows.join("\n")}
`;
}
