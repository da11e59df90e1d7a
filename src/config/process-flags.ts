// The flags of `pillion run`: one row each, from which --help, the environment's names and the flags file derive.
//
// A row reads text, wherever the text came from. Whatever is wrong is told in terms of the flag; the row does no I/O,
// so a file that a flag names is opened by whoever needs it.

import { isIP } from "node:net";
import {
  type Address,
  LOG_LEVELS,
  type Parsed,
  parseAddress,
  parseDuration,
  parseListenAddress,
} from "../base/index.ts";
import { WEIGHT_MAX } from "./document-schemas.ts";
import { isName } from "./kinds.ts";
import { parseMeshUrl } from "./mesh-url.ts";

/** One flag. */
export interface ProcessFlag<T> {
  /** Without the dashes: `app-protocol`. */
  readonly name: string;
  /** In --help: `--app HOST:PORT`. */
  readonly valueName: string;
  readonly description: string;
  /** As a person would write it; `undefined`: not set. */
  readonly default: string | undefined;
  /** May be given several times; then the value is a list. */
  readonly isRepeatable: boolean;
  /** Not to be printed. */
  readonly isSecret: boolean;
  readonly parse: (text: string) => Parsed<T>;
}

interface FlagRow<T> {
  readonly name: string;
  readonly valueName: string;
  readonly description: string;
  readonly parse: (text: string) => Parsed<T>;
  readonly isSecret?: boolean;
}

interface SetFlag<T> extends ProcessFlag<T> {
  readonly default: string;
  readonly isRepeatable: false;
}
interface OptionalFlag<T> extends ProcessFlag<T> {
  readonly default: undefined;
  readonly isRepeatable: false;
}
interface RepeatableFlag<T> extends ProcessFlag<T> {
  readonly isRepeatable: true;
}

/** A port or "off"; `undefined` is off. */
const listenOrOff = { valueName: "HOST:PORT|off", parse: parseListenAddress } as const;

/** The rows by the field of `ProcessConfig` that they fill. */
export const PROCESS_FLAGS = {
  mesh: withDefault("file:mesh.yaml", {
    name: "mesh",
    valueName: "URL",
    description: "where the mesh is described: file:PATH, etcd://HOST:PORT[,HOST:PORT][/PREFIX], etcds://…",
    parse: parseMeshUrl,
  }),
  service: optional({
    name: "service",
    valueName: "NAME",
    description: "the service that the app beside us answers for; registers it",
    parse: parseName,
  }),
  app: optional({
    name: "app",
    valueName: "HOST:PORT",
    description: "where the app beside us listens; a port alone means 127.0.0.1",
    parse: parseApp,
  }),
  appProtocol: withDefault("auto", {
    name: "app-protocol",
    ...oneOf(["auto", "http1", "http2", "tcp"]),
    description: "what the app speaks",
  }),
  advertise: optional({
    name: "advertise",
    valueName: "HOST[:PORT]",
    description: "where others reach our inbound; default: this host's address and the inbound's port",
    parse: parseAdvertise,
  }),
  instance: optional({
    name: "instance",
    valueName: "ID",
    description: "our id among the instances of the service; default: made of the advertised address",
    parse: parseName,
  }),
  zone: optional({ name: "zone", valueName: "NAME", description: "where we run", parse: accept }),
  weight: withDefault("100", {
    name: "weight",
    valueName: "N",
    description: "our share among the instances",
    parse: (text) => parseCount(text, 0, WEIGHT_MAX),
  }),
  tag: repeatable({ name: "tag", valueName: "KEY=VALUE", description: "what routes select us by", parse: parseTag }),
  namespace: optional({
    name: "namespace",
    valueName: "NAME",
    description: "bare names mean services of this namespace: users is users.NAME",
    parse: parseName,
  }),
  outbound: withDefault("127.0.0.1:15001", {
    name: "outbound",
    ...listenOrOff,
    description: "where the app sends its requests into the mesh",
  }),
  inbound: withDefault("0.0.0.0:15006", {
    name: "inbound",
    ...listenOrOff,
    description: "where the mesh reaches the app (opened with --app)",
  }),
  listen: repeatable({
    name: "listen",
    valueName: "HOST:PORT=SERVICE",
    description: "a port of its own for one service",
    parse: parseListen,
  }),
  admin: withDefault("127.0.0.1:15000", { name: "admin", ...listenOrOff, description: "admin and metrics" }),
  probe: withDefault("0.0.0.0:15021", {
    name: "probe",
    ...listenOrOff,
    description: "/live, /ready and /metrics for Kubernetes",
  }),
  workers: withDefault("1", {
    name: "workers",
    valueName: "N|auto",
    description: "data-plane threads; auto: as the CPU quota allows",
    parse: parseWorkers,
  }),
  socketDriver: withDefault("auto", {
    name: "socket-driver",
    ...oneOf(["auto", "epoll", "libuv"]),
    description: "what moves bytes: own epoll loop or Node's sockets; auto: epoll where it works",
  }),
  intercept: withDefault("off", {
    name: "intercept",
    ...oneOf(["off", "redirect"]),
    description: "carry redirected connections to where they were going",
  }),
  opaquePorts: withDefault("25,587,3306,4444,5432,6379,9300,11211", {
    name: "opaque-ports",
    valueName: "PORT,…|none",
    description: "ports of intercepted connections that are carried unread at once: their servers speak first",
    parse: parsePorts,
  }),
  unknown: withDefault("pass", {
    name: "unknown",
    ...oneOf(["pass", "deny"]),
    description: "what happens to traffic for hosts outside of the mesh",
  }),
  state: optional({
    name: "state",
    valueName: "DIR",
    description: "keep the last known good picture of the mesh here",
    parse: accept,
  }),
  drainMs: withDefault("30s", {
    name: "drain",
    valueName: "DURATION",
    description: "how long requests in flight may take after SIGTERM",
    parse: parseDuration,
  }),
  accessLog: withDefault("off", {
    name: "access-log",
    ...oneOf(["off", "json", "text"]),
    description: "one line for each request",
  }),
  logLevel: withDefault("info", { name: "log-level", ...oneOf(LOG_LEVELS), description: "what is logged" }),
  registryCa: optional({
    name: "registry-ca",
    valueName: "FILE",
    description: "certificates that etcds:// trusts; default: the system's",
    parse: accept,
  }),
  registryCert: optional({
    name: "registry-cert",
    valueName: "FILE",
    description: "our certificate for etcd",
    parse: accept,
  }),
  registryKey: optional({
    name: "registry-key",
    valueName: "FILE",
    description: "the key of our certificate for etcd",
    parse: accept,
  }),
  registryUser: optional({
    name: "registry-user",
    valueName: "NAME",
    description: "our user at etcd; may also stand in the URL",
    parse: accept,
  }),
  registryPassword: optional({
    name: "registry-password",
    valueName: "TEXT",
    description: "its password; better in the environment or by --registry-password-file",
    parse: accept,
    isSecret: true,
  }),
  registryPasswordFile: optional({
    name: "registry-password-file",
    valueName: "FILE",
    description: "a file whose first line is the password",
    parse: accept,
  }),
} as const;

/** What the rows parse to: a list where repeatable, `undefined` where nothing was said and there is no default. */
export type FlagValues = {
  readonly [Field in keyof typeof PROCESS_FLAGS]: (typeof PROCESS_FLAGS)[Field] extends RepeatableFlag<infer T>
    ? readonly T[]
    : (typeof PROCESS_FLAGS)[Field] extends SetFlag<infer T>
      ? T
      : (typeof PROCESS_FLAGS)[Field] extends OptionalFlag<infer T>
        ? T | undefined
        : never;
};

/** A port of its own for one service. */
export interface ServiceListener {
  readonly address: Address;
  readonly service: string;
}

function withDefault<T>(written: string, row: FlagRow<T>): SetFlag<T> {
  return { isSecret: false, ...row, default: written, isRepeatable: false };
}

function optional<T>(row: FlagRow<T>): OptionalFlag<T> {
  return { isSecret: false, ...row, default: undefined, isRepeatable: false };
}

function repeatable<T>(row: FlagRow<T>): RepeatableFlag<T> {
  return { isSecret: false, ...row, default: undefined, isRepeatable: true };
}

function oneOf<const Words extends readonly string[]>(words: Words) {
  const parse = (text: string): Parsed<Words[number]> =>
    words.includes(text)
      ? { ok: true, value: text }
      : { ok: false, problem: `${JSON.stringify(text)} is not one of ${words.join(", ")}` };
  return { valueName: words.join("|"), parse } as const;
}

function accept(text: string): Parsed<string> {
  return text === "" ? { ok: false, problem: "must not be empty" } : { ok: true, value: text };
}

function parseName(text: string): Parsed<string> {
  if (isName(text)) return { ok: true, value: text };
  return { ok: false, problem: `${JSON.stringify(text)} is not a name (lower-case labels joined by dots)` };
}

function parseApp(text: string): Parsed<Address> {
  return parseAddress(/^:?\d+$/.test(text) ? `127.0.0.1:${text.replace(":", "")}` : text);
}

/** Port 0 stands for the inbound's: a pod knows its address, IPv4 or IPv6, and nobody puts brackets around it. */
function parseAdvertise(text: string): Parsed<Address> {
  if (isIP(text) !== 0) return { ok: true, value: { host: text, port: 0 } };
  return parseAddress(text);
}

function parseCount(text: string, min: number, max: number): Parsed<number> {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return { ok: true, value };
  return { ok: false, problem: `${JSON.stringify(text)} is not a number from ${min} to ${max}` };
}

/** Columns of per-worker counters: `WORKERS_MAX` of assembly/abi/balancer-table.ts. */
const WORKERS_MAX = 16;

function parseWorkers(text: string): Parsed<number | "auto"> {
  return text === "auto" ? { ok: true, value: "auto" } : parseCount(text, 1, WORKERS_MAX);
}

/** Default: Linkerd's opaque ports. SMTP, submission, MySQL, Galera, PostgreSQL, Redis, Elasticsearch, memcached. */
function parsePorts(text: string): Parsed<readonly number[]> {
  if (text === "none") return { ok: true, value: [] };
  const ports: number[] = [];
  for (const part of text.split(",")) {
    const port = parseCount(part.trim(), 1, 65_535);
    if (!port.ok) return port;
    ports.push(port.value);
  }
  return { ok: true, value: ports };
}

function parseTag(text: string): Parsed<readonly [key: string, value: string]> {
  const equals = text.indexOf("=");
  if (equals <= 0) return { ok: false, problem: `${JSON.stringify(text)} is not key=value` };
  return { ok: true, value: [text.slice(0, equals), text.slice(equals + 1)] };
}

function parseListen(text: string): Parsed<ServiceListener> {
  const equals = text.lastIndexOf("=");
  if (equals < 0) return { ok: false, problem: `${JSON.stringify(text)} is not address=service` };
  const service = parseName(text.slice(equals + 1));
  if (!service.ok) return service;
  const address = parseListenAddress(text.slice(0, equals));
  if (!address.ok) return address;
  if (address.value === undefined) return { ok: false, problem: "a listener for a service cannot be off" };
  return { ok: true, value: { address: address.value, service: service.value } };
}
