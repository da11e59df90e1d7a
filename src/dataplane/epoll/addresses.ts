// Socket addresses between text and the kernel's structures; libuv knows both families and IPv6 zones.

import { isIPv6 } from "node:net";
import { AF_INET, AF_INET6, type Kernel } from "./system-calls.ts";

/** struct sockaddr_in and sockaddr_in6 (man 7 ip, ipv6). */
const IPV4_BYTES = 16;
const IPV6_BYTES = 28;
const ROOM_BYTES = 128;
const TEXT_BYTES = 128;
const TEXT = ROOM_BYTES;
const LENGTH = TEXT + TEXT_BYTES;

export class SocketAddress {
  /** Where the structure lies, and how long it is for the kernel to read and write. */
  readonly address: bigint;
  readonly lengthAddress: bigint;
  readonly #kernel: Kernel;
  readonly #textAddress: bigint;
  readonly #bytes = Buffer.from(new ArrayBuffer(LENGTH + 4));

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.address = kernel.addressOf(this.#bytes);
    this.#textAddress = this.address + BigInt(TEXT);
    this.lengthAddress = this.address + BigInt(LENGTH);
  }

  /** Address family of an IP address. */
  static familyOf(ip: string): number {
    return isIPv6(ip) ? AF_INET6 : AF_INET;
  }

  /** Writes the structure; its length, or 0 when the text is no IP address. */
  write(ip: string, port: number): number {
    const { calls } = this.#kernel;
    const end = this.#bytes.write(ip, TEXT, TEXT_BYTES - 1, "latin1");
    this.#bytes[TEXT + end] = 0;
    const text = this.#textAddress;
    if (isIPv6(ip)) return calls.uv_ip6_addr(text, port, this.address) === 0 ? IPV6_BYTES : 0;
    return calls.uv_ip4_addr(text, port, this.address) === 0 ? IPV4_BYTES : 0;
  }

  /** Makes room for a structure that the kernel writes. */
  clear(): void {
    this.#bytes.writeUInt32LE(ROOM_BYTES, LENGTH);
  }

  /** Writes an int, for options of sockets. */
  writeNumber(first: number, second = 0): void {
    this.#bytes.writeInt32LE(first, 0);
    this.#bytes.writeInt32LE(second, 4);
  }

  /** Reads an int that the kernel wrote. */
  readNumber(): number {
    return this.#bytes.readInt32LE(0);
  }

  /** The port in it; of both families it follows the family. */
  readPort(): number {
    return this.#bytes.readUInt16BE(2);
  }

  /** The IP address in it; empty for other families. */
  read(): string {
    const family = this.#bytes.readUInt16LE(0);
    // By hand, because most are: sin_addr follows family and port.
    if (family === AF_INET) return this.#bytes.subarray(4, 8).join(".");
    if (this.#kernel.calls.uv_ip_name(this.address, this.#textAddress, BigInt(TEXT_BYTES)) !== 0) return "";
    return this.#bytes.toString("latin1", TEXT, this.#bytes.indexOf(0, TEXT));
  }
}
