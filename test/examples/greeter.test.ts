// The greeter example alone, without a mesh: does each of its three methods do what its protocol file says?

import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { createGreeterClient, sayHello } from "../../examples/greeter/protocol.ts";
import { startExample } from "../support/examples.ts";
import { startProgram } from "../support/process.ts";

test("greets once, five times, and once for each request", async () => {
  await using server = await startExample("greeter", { name: "a" });
  const client = createGreeterClient(server.address);
  try {
    expect(await sayHello(client, "Ann")).toEqual({ message: "Hello, Ann!", instance: "a" });
    const messages: string[] = [];
    for await (const { message } of client.sayHelloStreamReply({ name: "Bob" })) messages.push(message);
    expect(messages).toEqual([1, 2, 3, 4, 5].map((number) => `Hello, Bob ${number}!`));

    const call = client.sayHelloBidiStream();
    const iterator = call[Symbol.asyncIterator]();
    for (const name of ["Cid", "Dora"]) {
      call.write({ name });
      expect((await iterator.next()).value).toEqual({ message: `Hello, ${name}!`, instance: "a" });
    }
    call.end();
    expect((await iterator.next()).done).toBe(true);
  } finally {
    client.close();
  }
  expect(await server.stop()).toEqual({ code: 0, signal: undefined });
});

test("the client prints what it got, and fails when nobody answers", async () => {
  const server = await startExample("greeter", { name: "a" });
  const client = startProgram(process.execPath, ["examples/greeter/client.ts", server.address, "greeter", "2"]);
  expect((await client.ended).code).toBe(0);
  expect(client.lines).toHaveLength(2 + 5 + 2);
  expect(client.lines[0]).toMatch(/^SayHello +Hello, World 1! +from a$/);
  await server.stop();
  const late = startProgram(process.execPath, ["examples/greeter/client.ts", server.address]);
  expect((await late.ended).code).toBe(1);
  expect(late.lines.join()).toContain(`${status.UNAVAILABLE} UNAVAILABLE`);
});
