// Whether a GET is answered with 200 to 299 in time: HTTP/1.1, or HTTP/2 where the instance speaks nothing else.

import { Client, H2CClient } from "undici";
import { formatAddress, messageOf } from "../base/index.ts";
import type { Asked, Problem } from "./probe.ts";

const USER_AGENT = "pillion-health";

export async function askHttp(
  { service, address, protocol }: Asked,
  path: string,
  timeoutMs: number,
): Promise<Problem> {
  const origin = `http://${formatAddress(address)}`;
  const isHttp2 = protocol === "http2" || protocol === "grpc";
  const client = isHttp2 ? new H2CClient(origin) : new Client(origin, { pipelining: 1 });
  // Late errors of a client that is given up concern nobody.
  client.on("disconnect", () => {});
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const headers = { host: service, "user-agent": USER_AGENT };
    const { statusCode, body } = await client.request({ method: "GET", path, headers, signal });
    body.on("error", () => {});
    return statusCode >= 200 && statusCode < 300 ? undefined : `answered ${statusCode}`;
  } catch (error) {
    return signal.aborted ? `no answer within ${timeoutMs} ms` : messageOf(error);
  } finally {
    void client.destroy().catch(() => {});
  }
}
