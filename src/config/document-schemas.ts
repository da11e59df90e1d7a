// The five documents: mesh, service, instance, route, access. One schema each, and nothing else states a field.
//
// A schema says what one document may hold. What needs a second document to be judged (a policy that needs a hash, two
// routes with one host) is in checks.ts; how documents become the mesh's picture is in store.ts.

import * as z from "zod";
import { formatAddress } from "../base/index.ts";
import { address, checkExactlyOne, count, hostPattern, isName, name, section, token } from "./kinds.ts";
import { PROTOCOLS, policyShape } from "./policy.ts";
import { absolutePath, ruleActionShape } from "./rule-schemas.ts";

/** The version of the documents' meaning; raised when a field changes its meaning, not when one is added. */
export const SCHEMA_VERSION = 1;
/** Sums over all members of a service stay within the balancer's 32 bits (assembly/abi/balancer-table.ts). */
export const WEIGHT_MAX = 65_535;
/** nginx's and HAProxy's usual scale, so that a canary of 1 % can be written without touching the others. */
const WEIGHT_DEFAULT = 100;

const schemaVersion = count({ min: 1 }).prefault(SCHEMA_VERSION).describe("Version of the document's meaning.");
const weight = count({ max: WEIGHT_MAX }).prefault(WEIGHT_DEFAULT);
const tags = z.record(z.string().min(1), z.string());
const protocol = z.enum(PROTOCOLS);

const sharedFields = {
  protocol: protocol.prefault("http").describe("What the instances speak; http: HTTP/1.1, and HTTP/2 for gRPC."),
  ...policyShape,
} as const;

/** `mesh`: what every service starts from. */
export const meshSchema = section({
  schemaVersion,
  defaults: section(sharedFields).prefault({}).describe("A service document without hosts and instances."),
});

/** `services/<name>`. */
export const serviceSchema = section({
  schemaVersion,
  ...sharedFields,
  hosts: z.array(hostPattern()).prefault([]).describe("Host names beside the service's own; *.domain is allowed."),
  addresses: z
    .array(address())
    .prefault([])
    .describe("protocol tcp: where apps connect to; an intercepted connection to one of them is the service's."),
});

/** `instances/<service>/<id>`. */
export const instanceSchema = section({
  schemaVersion,
  address: address().describe("Where it is reached: the sidecar's inbound, or the server itself."),
  weight: weight.describe("Its share among the instances; 0: no new requests."),
  zone: z.string().min(1).optional().describe("Where it runs."),
  tags: tags.prefault({}).describe("What routes select by."),
  protocol: protocol.optional().describe("What it speaks, if not what the service document says."),
  sidecar: z.boolean().prefault(false).describe("Whether the address is a Pillion inbound."),
  state: z.enum(["starting", "ready", "draining"]).prefault("ready").describe("Only ready instances get requests."),
}).transform(({ sidecar, ...rest }) => ({ ...rest, isSidecar: sidecar }));

/** An instance in a list of the mesh file: it names its own id. */
export const listedInstanceSchema = section({
  id: name().optional().describe("Its name within the service; default: made of the address."),
  ...instanceSchema.in.shape,
});

const textMatch = section({
  exact: z.string().optional().describe("The whole value."),
  prefix: z.string().optional().describe("How the value begins."),
  regex: z.string().optional().describe("A pattern for the whole value, of the kind that needs linear time."),
  present: z.boolean().optional().describe("Whether the field is there at all."),
})
  .check(checkExactlyOne(["exact", "prefix", "regex", "present"]))
  .transform(({ exact, prefix, regex, present }): FieldMatch => {
    if (exact !== undefined) return { kind: "exact", value: exact };
    if (prefix !== undefined) return { kind: "prefix", value: prefix };
    if (regex !== undefined) return { kind: "regex", value: regex };
    return present === true ? { kind: "present" } : { kind: "absent" };
  });

/** How the value of a header field or a query parameter is judged. */
export type FieldMatch =
  | { readonly kind: "exact" | "prefix" | "regex"; readonly value: string }
  | { readonly kind: "present" | "absent" };

const pathMatch = section({
  exact: absolutePath.optional().describe("The whole path, without the query."),
  prefix: absolutePath.optional().describe("Whole segments: /users matches /users and /users/7, not /users2."),
  regex: z.string().optional().describe("A pattern for the whole path, of the kind that needs linear time."),
})
  .check(checkExactlyOne(["exact", "prefix", "regex"]))
  .transform(({ exact, prefix, regex }): PathMatch => {
    if (exact !== undefined) return { kind: "exact", value: exact };
    return prefix !== undefined ? { kind: "prefix", value: prefix } : { kind: "regex", value: regex ?? "" };
  });

/** How a path is judged. */
export interface PathMatch {
  readonly kind: "exact" | "prefix" | "regex";
  readonly value: string;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/** RFC 9110 §9.1: methods are case-sensitive, so `get` would match nothing that anybody sends. */
const method = token({ isFolded: false }).refine(
  (text) => METHODS.includes(text) || !METHODS.includes(text.toUpperCase()),
  { error: "methods are upper case" },
);

const match = section({
  path: pathMatch.optional().describe("The path of the request; absent: any."),
  method: z.array(method).optional().describe("Methods, as sent (they are case-sensitive); absent: any."),
  headers: z
    .record(token({ isFolded: true }), textMatch)
    .prefault({})
    .describe("Header fields; all must match."),
  query: z
    .record(z.string().regex(/^[!"$%'-<>-~]+$/, { error: "must be a parameter's name, as it is sent" }), textMatch)
    .prefault({})
    .describe("Query parameters, compared as they are sent (percent-encoded); all must match."),
}).transform(({ path, method, headers, query }) => ({
  path,
  methods: method,
  headers: Object.entries(headers).map(([field, value]) => ({ name: field, match: value })),
  query: Object.entries(query).map(([parameter, value]) => ({ name: parameter, match: value })),
}));

const target = section({
  service: name().describe("The service that answers."),
  tags: tags.prefault({}).describe("Only instances that carry all of these tags."),
  weight: weight.describe("Its share among the rule's targets."),
});

const rewrite = section({
  pathPrefix: absolutePath.optional().describe("Replaces what path.prefix (or path.exact) matched."),
  host: z.string().min(1).optional().describe("Replaces the host."),
});

/** The policy sections without their defaults: what a rule does not write, it leaves to the service. */
const overridesShape = {
  balance: withoutDefault(policyShape.balance),
  timeout: withoutDefault(policyShape.timeout),
  retry: withoutDefault(policyShape.retry),
  hedge: withoutDefault(policyShape.hedge),
  limits: withoutDefault(policyShape.limits),
  outlier: withoutDefault(policyShape.outlier),
  health: withoutDefault(policyShape.health),
  rateLimit: withoutDefault(policyShape.rateLimit),
} satisfies Record<keyof typeof policyShape, unknown>;

const rule = section({
  match: match.prefault({}).describe("Which requests; all conditions must hold. Absent: every request."),
  to: z
    .array(target)
    .min(1)
    .optional()
    .describe("Who answers: one, or several by weight. Required without redirect and directResponse."),
  rewrite: rewrite.prefault({}).describe("What the service sees instead."),
  ...ruleActionShape,
  ...overridesShape,
});

/** `routes/<name>`. */
export const routeSchema = section({
  schemaVersion,
  hosts: z.array(hostPattern()).prefault([]).describe("Which hosts; none, or *: what nothing else claims."),
  rules: z.array(rule).min(1).describe("The first rule that matches decides."),
});

const party = z.string().refine((text) => text === "*" || isName(text), { error: "must be a service's name or *" });

/** `access/<name>`. */
export const accessSchema = section({
  schemaVersion,
  action: z.enum(["allow", "deny"]).prefault("allow").describe("What happens to a call that matches; deny wins."),
  from: z.array(party).min(1).describe("Calling services; * is any."),
  to: z.array(party).min(1).describe("Called services; * is any."),
});

/** The id of an instance that was given none: its address, with what names cannot hold as hyphens. */
export function instanceIdOf(address: { readonly host: string; readonly port: number }): string {
  const text = formatAddress(address).toLowerCase();
  return text.replace(/[^a-z0-9.]+/g, "-").replace(/^[-.]+|[-.]+$/g, "");
}

function withoutDefault<Schema extends z.ZodType>(schema: z.ZodPrefault<Schema>) {
  return schema
    .unwrap()
    .optional()
    .describe(schema.description ?? "");
}
