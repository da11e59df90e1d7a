// A wire that a test can cut: bytes between a client and a server, passed on, held back, or refused.
//
//   await using wire = await startTcpProxy(etcd.address);
//   wire.hold();   // both ends stay open and hear nothing, as behind a dead router
//   wire.cut();    // open connections are reset, new ones refused at once
//   wire.heal();

import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Address } from "../../src/base/index.ts";

export interface TcpProxy extends AsyncDisposable {
  readonly address: Address;
  /** Connections that were taken since the beginning. */
  readonly acceptedCount: number;
  hold(): void;
  cut(): void;
  heal(): void;
}

/** Listens on loopback and passes everything on to `target`; a function chooses for each connection. */
export async function startTcpProxy(target: Address | (() => Address)): Promise<TcpProxy> {
  let mode: "pass" | "hold" | "cut" = "pass";
  let acceptedCount = 0;
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((downstream) => {
    acceptedCount += 1;
    if (mode === "cut") {
      downstream.resetAndDestroy();
      return;
    }
    const { host, port } = typeof target === "function" ? target() : target;
    const upstream = connect(port, host);
    const pair = [downstream, upstream] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [upstream, downstream] as const]) {
      from.on("data", (chunk) => {
        if (mode === "pass") to.write(chunk);
      });
      from.on("error", () => to.destroy());
      from.on("close", () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
  });
  const destroyAll = () => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    address: { host: "127.0.0.1", port },
    get acceptedCount() {
      return acceptedCount;
    },
    hold: () => {
      mode = "hold";
    },
    cut: () => {
      mode = "cut";
      destroyAll();
    },
    heal: () => {
      // What was held back is lost for good, so connections from before cannot go on.
      if (mode === "hold") destroyAll();
      mode = "pass";
    },
    async [Symbol.asyncDispose]() {
      destroyAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
