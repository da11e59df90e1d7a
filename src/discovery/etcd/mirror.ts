// Our copy of the keys that we watch, and the documents that they make.
//
// Two things change it: events, and listings after which whatever a listing does not hold is gone. A listing is
// compared with what is known by modification revision, so after a reconnect only the difference is parsed and
// published. No I/O.

import type { IKeyValue } from "etcd3";
import {
  type CheckPattern,
  createDocumentStore,
  type DocumentChange,
  type DocumentIssue,
  type DocumentStore,
  type Documents,
  formatKey,
  parseKey,
} from "../../config/index.ts";
import type { RegistryIssue } from "../registry.ts";
import type { KeyRange } from "./listing.ts";
import type { KeyEvent } from "./revisions.ts";

export class Mirror {
  readonly #prefix: string;
  readonly #store: DocumentStore;
  /** Key → modification revision; "" where the value must be taken in again whatever its revision is. */
  readonly #known = new Map<string, string>();
  /** Values as etcd has them, where they are to be kept. */
  readonly #values: Map<string, string> | undefined;

  constructor(prefix: string, checkPattern: CheckPattern | undefined, keepsValues = false) {
    this.#prefix = prefix;
    this.#values = keepsValues ? new Map() : undefined;
    this.#store = createDocumentStore({ mode: "tolerant", checkPattern });
  }

  get documents(): Documents {
    return this.#store.documents;
  }

  warnings(): RegistryIssue[] {
    return this.#store.warnings().map((issue) => this.#issueOf(issue));
  }

  /** Services whose instances a route may send requests to. */
  servicesOfRoutes(): Set<string> {
    const names = new Set<string>();
    for (const { rules } of this.#store.documents.routes.values()) {
      for (const { to, mirror } of rules) {
        for (const { service } of to) names.add(service);
        if (mirror !== undefined) names.add(mirror.service);
      }
    }
    return names;
  }

  /** Every key and its value; empty where values are not kept. */
  pairs(): [key: string, value: string][] {
    return [...(this.#values ?? [])];
  }

  /** Takes in what etcd held once; a listing will say what of it still holds. */
  takeKept(pairs: readonly (readonly [key: string, value: string])[]): RegistryIssue[] | undefined {
    const changes: DocumentChange[] = [];
    for (const [key, value] of pairs) this.#put(key, Buffer.from(value), "", changes);
    return this.#write(changes);
  }

  /** The store is another one than before: no revision means what it meant. */
  distrust(): void {
    for (const key of this.#known.keys()) this.#known.set(key, "");
  }

  /** Takes in what ranges hold now; what they no longer hold is deleted. Yields `undefined` if nothing differs. */
  takeListing(ranges: readonly KeyRange[], pairs: readonly IKeyValue[]): RegistryIssue[] | undefined {
    const changes: DocumentChange[] = [];
    const listed = new Set<string>();
    for (const pair of pairs) {
      const key = pair.key.toString();
      listed.add(key);
      if (this.#known.get(key) !== pair.mod_revision) this.#put(key, pair.value, pair.mod_revision, changes);
    }
    for (const key of [...this.#known.keys()]) {
      if (!listed.has(key) && ranges.some((range) => isWithin(range, key))) this.#erase(key, changes);
    }
    return this.#write(changes);
  }

  /** Takes in events, in order. Yields `undefined` if none of them is of ours. */
  takeEvents(events: readonly KeyEvent[]): RegistryIssue[] | undefined {
    const changes: DocumentChange[] = [];
    for (const { key, pair } of events) {
      if (pair === undefined) this.#erase(key, changes);
      else this.#put(key, pair.value, pair.mod_revision, changes);
    }
    return this.#write(changes);
  }

  #put(key: string, value: Buffer, revision: string, changes: DocumentChange[]): void {
    const id = parseKey(this.#prefix, key);
    if (id === undefined) return;
    this.#known.set(key, revision);
    this.#values?.set(key, value.toString());
    changes.push({ id, value: parseValue(value) });
  }

  #erase(key: string, changes: DocumentChange[]): void {
    const id = parseKey(this.#prefix, key);
    if (id === undefined || !this.#known.delete(key)) return;
    this.#values?.delete(key);
    changes.push({ id, value: undefined });
  }

  #write(changes: readonly DocumentChange[]): RegistryIssue[] | undefined {
    if (changes.length === 0) return undefined;
    return this.#store.write(changes).rejected.map((issue) => this.#issueOf(issue));
  }

  #issueOf({ id, path, message, hint }: DocumentIssue): RegistryIssue {
    return { where: formatKey(this.#prefix, id), path: path.join("."), message, hint };
  }
}

/** The JSON of a value; a text that is none stays a text, and is refused as a document. */
export function parseValue(value: Buffer): unknown {
  const text = value.toString();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function isWithin({ start, end }: KeyRange, key: string): boolean {
  const bytes = Buffer.from(key);
  return bytes.compare(start) >= 0 && bytes.compare(end) < 0;
}
