// Where the mesh is described: `file:mesh.yaml`, `etcd://h1:2379,h2:2379/prefix`, `etcds://…` over TLS.
//
// Several endpoints of one cluster stand side by side before the path, which no URL parser takes, so the text is read
// here. User and password may stand before the endpoints, percent-encoded (RFC 3986 §3.2.1); nothing prints them again.

import { type Address, formatAddress, type Parsed, parseAddress } from "../base/index.ts";
import { PREFIX_DEFAULT } from "./keyspace.ts";

export type MeshUrl =
  | { readonly kind: "file"; readonly path: string }
  | {
      readonly kind: "etcd";
      readonly endpoints: readonly Address[];
      readonly isTls: boolean;
      /** Begins with a slash, ends without one. */
      readonly prefix: string;
      readonly user: string | undefined;
      readonly password: string | undefined;
    };

/** etcd's client port (IANA: etcd-client). */
const ETCD_PORT = 2379;

/** Parses the value of `--mesh`. */
export function parseMeshUrl(text: string): Parsed<MeshUrl> {
  const match = /^([a-z]+):(.*)$/s.exec(text);
  const [, scheme, rest = ""] = match ?? [];
  switch (scheme) {
    case "file":
      return rest === ""
        ? refuse(text, "a path is missing")
        : { ok: true, value: { kind: "file", path: pathOf(rest) } };
    case "etcd":
    case "etcds":
      return parseEtcd(text, rest, scheme === "etcds");
    default: {
      const isPath = /\.(ya?ml|json)$/.test(text);
      return refuse(
        text,
        isPath ? `write file:${text}` : "write file:mesh.yaml, etcd://host:2379 or etcds://host:2379",
      );
    }
  }
}

/** The text again, without user and password. */
export function formatMeshUrl(url: MeshUrl): string {
  if (url.kind === "file") return `file:${url.path}`;
  return `${url.isTls ? "etcds" : "etcd"}://${url.endpoints.map(formatAddress).join(",")}${url.prefix}`;
}

/** `file:mesh.yaml`, `file:/etc/mesh.yaml` and `file:///etc/mesh.yaml` are all in use. */
function pathOf(rest: string): string {
  return rest.startsWith("///") ? rest.slice(2) : rest;
}

function parseEtcd(text: string, rest: string, isTls: boolean): Parsed<MeshUrl> {
  const match = /^\/\/(?:(.*)@)?([^/@]+)(\/[^@]*)?$/s.exec(rest);
  if (match === null) return refuse(withoutUser(text), "write etcd://host:2379/prefix");
  const [, userInfo, hosts = "", path = ""] = match;
  const endpoints: Address[] = [];
  for (const host of hosts.split(",")) {
    const parsed = parseAddress(/:\d+$/.test(host) ? host : `${host}:${ETCD_PORT}`);
    if (!parsed.ok) return parsed;
    endpoints.push(parsed.value);
  }
  const prefix = path.replace(/\/+$/, "");
  if (!/^(\/[A-Za-z0-9._-]+)*$/.test(prefix))
    return refuse(withoutUser(text), `${path} is not a prefix, such as /staging`);
  const [user, password] = decodeUserInfo(userInfo);
  const value = {
    kind: "etcd",
    endpoints,
    isTls,
    prefix: prefix === "" ? PREFIX_DEFAULT : prefix,
    user,
    password,
  } as const;
  return { ok: true, value };
}

function decodeUserInfo(userInfo: string | undefined): readonly (string | undefined)[] {
  if (userInfo === undefined) return [undefined, undefined];
  const colon = userInfo.indexOf(":");
  const parts = colon < 0 ? [userInfo] : [userInfo.slice(0, colon), userInfo.slice(colon + 1)];
  return parts.map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      // A bare % in a password that was not encoded: then the text is meant as it stands.
      return part;
    }
  });
}

function withoutUser(text: string): string {
  return text.replace(/\/\/.*@/s, "//…@");
}

function refuse(text: string, problem: string): Parsed<never> {
  return { ok: false, problem: `${JSON.stringify(text)} is not a mesh (${problem})` };
}
