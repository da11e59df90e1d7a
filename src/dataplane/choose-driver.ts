// Which driver a worker's sockets stand on: as asked for, or libuv where epoll cannot be had, with the reason.

import { messageOf } from "../base/index.ts";
import { DescriptorTable } from "../wasm/index.ts";
import { EpollDriver } from "./epoll/driver.ts";
import { loadKernel } from "./epoll/system-calls.ts";
import { LibuvDriver } from "./libuv/driver.ts";
import type { SocketsSetup } from "./messages.ts";
import type { CreateDriver, SocketDriverName } from "./sockets.ts";

export interface ChosenDriver {
  readonly name: SocketDriverName;
  readonly create: CreateDriver;
  /** Why it is not the one that was asked for. */
  readonly problem?: string;
}

export function chooseDriver({ driver, descriptors }: SocketsSetup): ChosenDriver {
  const libuv: ChosenDriver = { name: "libuv", create: (engine, host) => new LibuvDriver(engine, host) };
  if (driver === "libuv") return libuv;
  try {
    const kernel = loadKernel();
    const table = new DescriptorTable(descriptors);
    return { name: "epoll", create: (engine, host) => new EpollDriver(engine, host, kernel, table) };
  } catch (error) {
    return { ...libuv, problem: `no epoll: ${messageOf(error)}` };
  }
}
