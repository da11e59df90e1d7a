// Whether a connection stands in time.

import { connect } from "node:net";
import type { Address } from "../base/index.ts";
import type { Problem } from "./probe.ts";

export function askTcp({ host, port }: Address, timeoutMs: number): Promise<Problem> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (problem: Problem) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(problem);
    };
    const timer = setTimeout(() => end(`no connection within ${timeoutMs} ms`), timeoutMs);
    socket.once("connect", () => end(undefined));
    socket.once("error", ({ message }) => end(message));
  });
}
