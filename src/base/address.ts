// host:port, parsed once and the same way everywhere.
//
// An IPv6 host is written in brackets and carried without them. A host name stays a name: resolving it is I/O and
// belongs to whoever connects. Listening addresses may also be ":8080" (all interfaces) or "off".

import { isIP } from "node:net";
import type { Parsed } from "./duration.ts";

/** Where something listens or is reached. `host` carries no brackets. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** RFC 1123 §2.1 labels, with the underscore that Docker and SRV names bring along. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i;

/** Parses "127.0.0.1:80", "[::1]:80" or "name:80"; port 0 only where `isPortZeroAllowed`. */
export function parseAddress(text: string, { isPortZeroAllowed = false } = {}): Parsed<Address> {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text);
  if (match === null) return refuse(text, "write host:port, for IPv6 [host]:port");
  const [, bracketed, bare, portText] = match;
  const host = bracketed ?? bare ?? "";
  const port = Number(portText);
  if (port > 65_535 || (port === 0 && !isPortZeroAllowed)) return refuse(text, `${portText} is not a port`);
  if (bracketed !== undefined && isIP(bracketed) !== 6) return refuse(text, `${bracketed} is not an IPv6 address`);
  if (bracketed === undefined && isIP(host) === 0 && !isHostName(host)) return refuse(text, `${host} is not a host`);
  return { ok: true, value: Object.freeze({ host, port }) };
}

/** Parses where to listen: an address, ":8080" for all interfaces, port 0 for any; `undefined` stands for "off". */
export function parseListenAddress(text: string): Parsed<Address | undefined> {
  if (text === "off") return { ok: true, value: undefined };
  return parseAddress(text.startsWith(":") ? `0.0.0.0${text}` : text, { isPortZeroAllowed: true });
}

/** The text that `parseAddress` reads back. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function isHostName(host: string): boolean {
  // Digits and dots only is an IPv4 address that went wrong (1.2.3, 1.2.3.256), never a name.
  return HOST_NAME.test(host) && !/^[\d.]+$/.test(host);
}

function refuse(text: string, problem: string): Parsed<never> {
  return { ok: false, problem: `${JSON.stringify(text)} is not an address (${problem})` };
}
