// Networks in CIDR notation (RFC 4632, RFC 4291 §2.3), written as the kernel's tools write them.
//
// The tools print what they were told in a form of their own: host bits cleared, IPv6 compressed. Rules are compared
// with what is in force as text, so networks are brought into that form first.

import { isIPv4, isIPv6 } from "node:net";
import type { Parsed } from "../base/index.ts";

export interface Network {
  readonly family: 4 | 6;
  readonly address: string;
  readonly prefix: number;
}

const GROUP_BITS = 16n;

/** Parses `10.0.0.0/8`, `fd00::/8`, or one address. */
export function parseNetwork(text: string): Parsed<Network> {
  const wrong = { ok: false, problem: `${text} is no network such as 10.0.0.0/8 or fd00::/8` } as const;
  const [, address = "", prefixText] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIPv4(address) ? 4 : isIPv6(address) ? 6 : undefined;
  if (family === undefined) return wrong;
  const bits = family === 4 ? 32 : 128;
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (prefix > bits) return wrong;
  const hostBits = BigInt(bits - prefix);
  const value = ((family === 4 ? readIPv4(address) : readIPv6(address)) >> hostBits) << hostBits;
  return { ok: true, value: { family, address: family === 4 ? formatIPv4(value) : formatIPv6(value), prefix } };
}

function readIPv4(text: string): bigint {
  return text.split(".").reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function readIPv6(text: string): bigint {
  // An IPv4 address may be its last 32 bits.
  const tail = text.slice(text.lastIndexOf(":") + 1);
  const plain = isIPv4(tail)
    ? text.slice(0, -tail.length) +
      [readIPv4(tail) >> GROUP_BITS, readIPv4(tail) & 0xffffn].map((group) => group.toString(16)).join(":")
    : text;
  const [left = "", right] = plain.split("::");
  const groupsOf = (part: string) => (part === "" ? [] : part.split(":"));
  const [head, end] = [groupsOf(left), groupsOf(right ?? "")];
  const zeros = Array.from({ length: 8 - head.length - end.length }, () => "0");
  return [...head, ...zeros, ...end].reduce((value, group) => (value << GROUP_BITS) | BigInt(`0x${group}`), 0n);
}

function formatIPv4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
}

/** RFC 5952, which URLs follow as well (WHATWG URL, "IPv6 serializer"). */
function formatIPv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => (value >> (GROUP_BITS * BigInt(7 - index))) & 0xffffn);
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(":")}]/`).hostname.slice(1, -1);
}
