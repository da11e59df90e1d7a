// Both socket drivers, for tests that run over each: what they promise is the same (src/dataplane/sockets.ts).

import { chooseDriver } from "../../src/dataplane/choose-driver.ts";
import type { SocketDriverName } from "../../src/dataplane/sockets.ts";
import { createSharedDescriptors, DescriptorTable } from "../../src/wasm/index.ts";

export const DRIVER_NAMES: readonly SocketDriverName[] = ["libuv", "epoll"];

/** A driver by name, and the descriptors that it notes as open; throws where this system has no such driver. */
export function createTestDriver(driver: SocketDriverName) {
  const descriptors = createSharedDescriptors();
  const chosen = chooseDriver({ driver, descriptors });
  if (chosen.name !== driver) throw new Error(chosen.problem);
  return { chosen, table: new DescriptorTable(descriptors) };
}
