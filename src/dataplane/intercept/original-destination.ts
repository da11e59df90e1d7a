// Where a redirected connection was going: the kernel's connection tracking remembers it for the accepted socket.
//
// getsockopt(SOL_IP, SO_ORIGINAL_DST) and its IPv6 twin (linux/netfilter_ipv4.h, netfilter_ipv6/ip6_tables.h), which
// Node does not offer: through node:ffi, whichever driver moves the bytes.

import { isIPv6, type Socket } from "node:net";
import type { Address } from "../../base/index.ts";
import { SocketAddress } from "../epoll/addresses.ts";
import { type Kernel, loadKernel } from "../epoll/system-calls.ts";

const SOL_IP = 0;
const SOL_IPV6 = 41;
/** The same number in both families. */
const SO_ORIGINAL_DST = 80;

export class OriginalDestinations {
  readonly #kernel: Kernel;
  readonly #room: SocketAddress;

  /** Throws, saying why, where this Node or this system cannot ask. */
  constructor() {
    this.#kernel = loadKernel();
    this.#room = new SocketAddress(this.#kernel);
  }

  /** Where it was going; undefined: here, nobody redirected it. */
  of(socket: Socket): Address | undefined {
    const { localPort } = socket;
    // A listener of both families (`--inbound [::]:15006`) has IPv4 in IPv6's clothes (RFC 4291 §2.5.5.2).
    const localAddress = (socket.localAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
    const level = isIPv6(localAddress) ? SOL_IPV6 : SOL_IP;
    const room = this.#room;
    room.clear();
    const descriptor = descriptorOf(socket);
    // ENOENT: connection tracking does not know it, so nothing was translated.
    if (this.#kernel.calls.getsockopt(descriptor, level, SO_ORIGINAL_DST, room.address, room.lengthAddress) !== 0) {
      return undefined;
    }
    const [host, port] = [room.read(), room.readPort()];
    return host === localAddress && port === localPort ? undefined : { host, port };
  }
}

/** The descriptor under a socket of Node. */
export function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}
