// Opens listening sockets for the workers to accept from, and says clearly why one cannot be opened.
//
// net.Server does the binding (addresses, IPv6, `:0`); then its descriptor is duplicated and the server closed before
// the event loop turns, so this thread never accepts. What is kept is a bare descriptor.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { type Address, formatAddress, messageOf, pillionError } from "../base/index.ts";
import { closeDescriptor, duplicateDescriptor } from "./descriptor.ts";

/** The kernel's ceiling (net.core.somaxconn) is 4,096 since Linux 5.4: bursts wait here instead of being refused. */
const BACKLOG = 4_096;
/** Of the command line of who holds a port: enough to know it again. */
const COMMAND_CHARS_MAX = 60;

export interface ListeningSocket {
  /** With the port that the system chose for `:0`. */
  readonly address: Address;
  /** A descriptor of its own for a worker. */
  duplicate(): number;
  /** Nobody accepts any more once the workers have closed theirs too. */
  close(): void;
}

/** Binds and listens; `flag` is what chose the address, for the message of PILLION_LISTEN. */
export function openListening(address: Address, flag: string, isTwin = false): Promise<ListeningSocket> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(explainListen(address, flag, error)));
    const ipv6Only = address.host === "::" && isTwin;
    server.listen({ host: address.host, port: address.port, backlog: BACKLOG, ipv6Only }, () => {
      const { address: host, port } = server.address() as AddressInfo;
      const descriptor = duplicateDescriptor(descriptorOf(server));
      server.close();
      resolve(keep({ host, port }, descriptor));
    });
  });
}

function keep(address: Address, descriptor: number): ListeningSocket {
  let isOpen = true;
  return {
    address,
    duplicate: () => duplicateDescriptor(descriptor),
    close() {
      if (isOpen) closeDescriptor(descriptor);
      isOpen = false;
    },
  };
}

/** The error of an address that cannot be had: which, why, by which flag, and who has it. */
export function explainListen(address: Address, flag: string, error: Error): Error {
  const code = (error as NodeJS.ErrnoException).code;
  let problem = messageOf(error);
  if (code === "EADDRINUSE") {
    const holder = findHolder(address.port);
    problem = `port ${address.port} is in use${holder === undefined ? "" : ` by ${holder}`}`;
  } else if (code === "EACCES") problem = `port ${address.port} needs a privilege (CAP_NET_BIND_SERVICE)`;
  else if (code === "EADDRNOTAVAIL") problem = `this host has no address ${address.host}`;
  const other = code === "EADDRNOTAVAIL" ? { ...address, host: "127.0.0.1" } : { ...address, port: 0 };
  const remedy = `choose another with ${flag}, for example ${flag} ${formatAddress(other)}, or off`;
  return pillionError("PILLION_LISTEN", { address: formatAddress(address), problem: `${problem}; ${remedy}` }, error);
}

function descriptorOf(server: unknown): number {
  return (server as { _handle: { fd: number } })._handle.fd;
}

/** "nginx: master process (pid 812)": the process that listens on a port, as far as /proc tells this user. */
function findHolder(port: number): string | undefined {
  const inode = findInode(port);
  if (inode === undefined) return undefined;
  for (const pid of listSafely("/proc").filter((name) => /^\d+$/.test(name))) {
    for (const descriptor of listSafely(`/proc/${pid}/fd`)) {
      if (readLinkSafely(`/proc/${pid}/fd/${descriptor}`) !== `socket:[${inode}]`) continue;
      const command = readSafely(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
      return `${command.slice(0, COMMAND_CHARS_MAX)} (pid ${pid})`;
    }
  }
  return undefined;
}

/** proc(5): local address is "HEX:PORT" in column 1, state 0A is listening in column 3, the inode is column 9. */
function findInode(port: number): string | undefined {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of readSafely(table).split("\n")) {
      const columns = line.trim().split(/\s+/);
      if (columns[1]?.endsWith(wanted) === true && columns[3] === "0A") return columns[9];
    }
  }
  return undefined;
}

// Other users' processes are not readable, and processes end while they are looked at: then there is no name.

function listSafely(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readSafely(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function readLinkSafely(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
