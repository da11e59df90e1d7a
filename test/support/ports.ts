// Addresses on loopback that a test needs beforehand.

import { type AddressInfo, createServer } from "node:net";

/** An address on which nobody listens: it was ours a moment ago, and the kernel does not hand it out again soon. */
export async function closedAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}
