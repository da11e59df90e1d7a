// Writing documents: all changes in one transaction, guarded by the revisions that the writer has seen.
//
// A transaction is sent once. If its answer is lost, nobody knows whether it took place, and repeating it could undo
// what somebody wrote meanwhile; so that failure goes to the caller as it is.
//
// What does not fit one transaction is refused, unless the caller accepts parts: then in the order services, instances,
// routes, so that nothing is named before it exists, and deletions in the opposite order at the end.

import type { ICompare, IRequestOp } from "etcd3";
import { pillionError } from "../../base/index.ts";
import { type DocumentKind, formatKey } from "../../config/index.ts";
import type { RegistryChange } from "../registry.ts";
import type { EtcdClient } from "./client.ts";
import { TXN } from "./rpc.ts";

/** etcd's --max-txn-ops. */
export const CHANGES_MAX = 128;
/** Two thirds of etcd's --max-request-bytes (1.5 MiB): keys and framing count too. */
export const CHANGE_BYTES_MAX = 1024 * 1024;

const WRITE_ORDER: readonly DocumentKind[] = ["mesh", "service", "instance", "route", "access"];

/** Writes `changes` in one transaction; resolves to how many keys it deleted. */
export async function applyChanges(
  client: EtcdClient,
  prefix: string,
  changes: readonly RegistryChange[],
): Promise<number> {
  if (changes.length === 0) return 0;
  const operations = changes.map((change) => operationOf(prefix, change));
  const bytes = changes.reduce((sum, change) => sum + bytesOf(prefix, change), 0);
  if (changes.length > CHANGES_MAX || bytes > CHANGE_BYTES_MAX) {
    const limits = { changesMax: CHANGES_MAX, bytesMax: CHANGE_BYTES_MAX };
    throw pillionError("PILLION_REGISTRY_TOO_LARGE", { changes: changes.length, bytes, ...limits });
  }
  const guarded = changes.filter(({ expectedRevision }) => expectedRevision !== undefined);
  const request = {
    compare: guarded.map((change) => compareOf(prefix, change)),
    success: operations,
    // The keys as they are now, to name the one that changed.
    failure: guarded.map(({ id }) => ({ request_range: { key: Buffer.from(formatKey(prefix, id)), keys_only: true } })),
  };
  const { succeeded, responses } = await client.call(TXN, request);
  if (succeeded) return responses.reduce((sum, { response_delete_range: gone }) => sum + Number(gone?.deleted ?? 0), 0);
  const changed = guarded.find(({ expectedRevision }, index) => {
    const found = responses[index]?.response_range.kvs[0];
    return (found?.mod_revision ?? "0") !== expectedRevision;
  });
  const id = (changed ?? guarded[0] ?? changes[0])!.id;
  throw pillionError("PILLION_REGISTRY_CONFLICT", { key: formatKey(prefix, id) });
}

/** Splits changes into transactions that fit, in the order in which they may become visible. */
export function splitChanges(prefix: string, changes: readonly RegistryChange[]): RegistryChange[][] {
  const rank = ({ id, value }: RegistryChange) => {
    const place = WRITE_ORDER.indexOf(id.kind);
    return value === undefined ? 2 * WRITE_ORDER.length - place : place;
  };
  const ordered = [...changes].sort((left, right) => rank(left) - rank(right));
  const chunks: RegistryChange[][] = [];
  let bytes = 0;
  for (const change of ordered) {
    const chunk = chunks.at(-1);
    bytes += bytesOf(prefix, change);
    if (chunk === undefined || chunk.length >= CHANGES_MAX || bytes > CHANGE_BYTES_MAX) {
      chunks.push([change]);
      bytes = bytesOf(prefix, change);
    } else {
      chunk.push(change);
    }
  }
  return chunks;
}

function operationOf(prefix: string, { id, value }: RegistryChange): IRequestOp {
  const key = Buffer.from(formatKey(prefix, id));
  if (value === undefined) return { request_delete_range: { key } };
  return { request_put: { key, value: Buffer.from(JSON.stringify(value)) } };
}

function compareOf(prefix: string, { id, expectedRevision }: RegistryChange): ICompare {
  const key = Buffer.from(formatKey(prefix, id));
  // A key that does not exist has the modification revision 0, which is what ABSENT says.
  return { key, target: "Mod", result: "Equal", mod_revision: expectedRevision ?? "0" };
}

function bytesOf(prefix: string, { id, value }: RegistryChange): number {
  return formatKey(prefix, id).length + (value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value)));
}
