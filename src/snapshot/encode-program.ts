// Writes a program model down as the block that the engine executes (abi/route-program.ts).

import { NONE } from "../../assembly/abi/engine-codes.ts";
import {
  INSTANCE_FLAGS,
  INSTANCE_GENERATION,
  INSTANCE_ID,
  INSTANCE_IS_APP,
  INSTANCE_IS_DRAINING,
  INSTANCE_IS_PRESENT,
  INSTANCE_IS_SIDECAR,
  INSTANCE_PROTOCOL,
  INSTANCE_RECORD_BYTES,
} from "../../assembly/abi/policy.ts";
import {
  DIRECTION_INBOUND,
  DIRECTION_OUTBOUND,
  HOST_BYTES,
  HOST_SERVICE,
  HOST_TEXT,
  HOST_VHOST,
  PROGRAM_CATCH_ALL_AT,
  PROGRAM_CHECKED_FROM,
  PROGRAM_CHECKSUM_AT,
  PROGRAM_HEADER_BYTES,
  PROGRAM_HOSTS_AT,
  PROGRAM_INBOUND_AT,
  PROGRAM_INSTANCES_AT,
  PROGRAM_LENGTH_AT,
  PROGRAM_LISTENERS_AT,
  PROGRAM_MAGIC,
  PROGRAM_MAGIC_AT,
  PROGRAM_PATHS_AT,
  PROGRAM_REVISION_AT,
  PROGRAM_RULES_AT,
  PROGRAM_SERVICES_AT,
  PROGRAM_VERSION,
  PROGRAM_VERSION_AT,
  PROGRAM_VHOSTS_AT,
  PROGRAM_WILDCARDS_AT,
  RULE_BYTES,
  SERVICE_BYTES,
  SERVICE_DIRECTION,
  SERVICE_METRICS,
  SERVICE_NAME,
  SERVICE_RULE,
} from "../../assembly/abi/route-program.ts";
import { encodeVhosts } from "./encode-paths.ts";
import { protocolCode } from "./encode-policy.ts";
import { encodeRule, type SharedParts } from "./encode-rule.ts";
import { encodeTable, type TableEntry } from "./encode-table.ts";
import { checksumOf, hashHost } from "./hash.ts";
import type { HostClaim, InstanceModel, ProgramModel, ServiceModel } from "./program-model.ts";
import { ProgramWriter } from "./writer.ts";

/** The block, ready to be copied to SNAPSHOT_FIRST or SNAPSHOT_SECOND. */
export function encodeProgram(model: ProgramModel): Uint8Array<ArrayBuffer> {
  const writer = new ProgramWriter();
  const header = writer.reserve(PROGRAM_HEADER_BYTES);
  const shared: SharedParts = { policies: new Map(), automata: new Map() };
  putPair(writer, PROGRAM_SERVICES_AT, encodeServices(writer, shared, model.services), model.services.length);
  putPair(writer, PROGRAM_INSTANCES_AT, encodeInstances(writer, model.instances), model.instances.length);
  putPair(writer, PROGRAM_LISTENERS_AT, encodeListeners(writer, model.listeners), model.listeners.length);
  putTable(writer, PROGRAM_HOSTS_AT, encodeHosts(writer, model.hosts));
  putTable(writer, PROGRAM_WILDCARDS_AT, encodeHosts(writer, model.wildcards));
  const { vhosts, rules, ruleCount, paths } = encodeVhosts(writer, shared, model.vhosts);
  putPair(writer, PROGRAM_VHOSTS_AT, vhosts, model.vhosts.length);
  putPair(writer, PROGRAM_RULES_AT, rules, ruleCount);
  putTable(writer, PROGRAM_PATHS_AT, paths);
  writer.putU32(header + PROGRAM_CATCH_ALL_AT, model.catchAll ?? NONE);
  writer.putU32(header + PROGRAM_INBOUND_AT, model.inbound ?? NONE);
  writer.putU32(header + PROGRAM_MAGIC_AT, PROGRAM_MAGIC);
  writer.putU32(header + PROGRAM_VERSION_AT, PROGRAM_VERSION);
  writer.putF64(header + PROGRAM_REVISION_AT, model.revision);
  return seal(writer.finish());
}

/** A copy of a block in which these slots' instances are no longer present; only their names stay. */
export function withoutInstances(bytes: Uint8Array<ArrayBuffer>, slots: readonly number[]): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  const table = new DataView(copy.buffer).getUint32(PROGRAM_INSTANCES_AT, true);
  for (const slot of slots) copy[table + INSTANCE_RECORD_BYTES * slot + INSTANCE_FLAGS] = 0;
  return seal(copy);
}

/** Writes length and checksum into a finished block. */
function seal(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer);
  view.setUint32(PROGRAM_LENGTH_AT, bytes.length, true);
  view.setUint32(PROGRAM_CHECKSUM_AT, checksumOf(new Uint32Array(bytes.buffer, PROGRAM_CHECKED_FROM)), true);
  return bytes;
}

function encodeServices(writer: ProgramWriter, shared: SharedParts, services: ProgramModel["services"]): number {
  const table = writer.reserve(SERVICE_BYTES * services.length);
  services.forEach((service, index) => {
    if (service !== undefined) encodeService(writer, shared, table + SERVICE_BYTES * index, service);
  });
  return table;
}

function encodeService(writer: ProgramWriter, shared: SharedParts, at: number, service: ServiceModel): void {
  writer.putText(at + SERVICE_NAME, service.name);
  writer.putU32(at + SERVICE_METRICS, service.metrics);
  writer.putU32(at + SERVICE_DIRECTION, service.direction === "inbound" ? DIRECTION_INBOUND : DIRECTION_OUTBOUND);
  if (service.rule === undefined) return;
  const rule = writer.reserve(RULE_BYTES);
  encodeRule(writer, shared, { at: rule, rule: service.rule, vhost: NONE, prefixBytes: 0 });
  writer.putU32(at + SERVICE_RULE, rule);
}

function encodeInstances(writer: ProgramWriter, instances: ProgramModel["instances"]): number {
  const table = writer.reserve(INSTANCE_RECORD_BYTES * instances.length);
  instances.forEach((instance, slot) => {
    if (instance !== undefined) encodeInstance(writer, table + INSTANCE_RECORD_BYTES * slot, instance);
  });
  return table;
}

function encodeInstance(writer: ProgramWriter, at: number, instance: InstanceModel): void {
  let flags = 0;
  if (instance.isSidecar) flags |= INSTANCE_IS_SIDECAR;
  if (instance.isDraining) flags |= INSTANCE_IS_DRAINING;
  if (instance.isPresent) flags |= INSTANCE_IS_PRESENT;
  if (instance.isApp) flags |= INSTANCE_IS_APP;
  writer.putU32(at + INSTANCE_GENERATION, instance.generation);
  writer.putU8(at + INSTANCE_FLAGS, flags);
  writer.putU8(at + INSTANCE_PROTOCOL, protocolCode(instance.protocol));
  writer.putText(at + INSTANCE_ID, instance.id);
}

function encodeListeners(writer: ProgramWriter, listeners: ProgramModel["listeners"]): number {
  const table = writer.reserve(4 * listeners.length);
  for (const [index, service] of listeners.entries()) writer.putU32(table + 4 * index, service ?? NONE);
  return table;
}

function encodeHosts(writer: ProgramWriter, hosts: ReadonlyMap<string, HostClaim>): { offset: number; mask: number } {
  const entries: TableEntry[] = [];
  for (const [text, claim] of hosts) {
    const at = writer.reserve(HOST_BYTES);
    const range = writer.putText(at + HOST_TEXT, text);
    writer.putU32(at + HOST_VHOST, claim.vhost ?? NONE);
    writer.putU32(at + HOST_SERVICE, claim.service ?? NONE);
    entries.push({ hash: hashHost(writer.bytesOf(range)), offset: at });
  }
  return encodeTable(writer, entries);
}

function putPair(writer: ProgramWriter, at: number, offset: number, count: number): void {
  writer.putU32(at, offset);
  writer.putU32(at + 4, count);
}

function putTable(writer: ProgramWriter, at: number, { offset, mask }: { offset: number; mask: number }): void {
  putPair(writer, at, offset, mask);
}
