// A client of the greeter, to try by hand: straight to an instance, or through a sidecar.
//
//   node examples/greeter/client.ts 127.0.0.1:50051                 straight
//   node examples/greeter/client.ts 127.0.0.1:15001 greeter 10      ten calls through an outbound, for service greeter

import { createGreeterClient, type HelloReply, sayHello } from "./protocol.ts";

const [target = "127.0.0.1:15001", authority = "greeter", count = "3"] = process.argv.slice(2);
const client = createGreeterClient(target, authority);
const print = (method: string, reply: HelloReply) => {
  process.stdout.write(`${method.padEnd(20)} ${reply.message.padEnd(16)} from ${reply.instance}\n`);
};

try {
  for (let number = 1; number <= Number(count); number += 1) {
    print("SayHello", await sayHello(client, `World ${number}`));
  }
  for await (const reply of client.sayHelloStreamReply({ name: "stream" })) print("SayHelloStreamReply", reply);
  const call = client.sayHelloBidiStream();
  for (const name of ["Ann", "Bob"]) call.write({ name });
  call.end();
  for await (const reply of call) print("SayHelloBidiStream", reply);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
client.close();
