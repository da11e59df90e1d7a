// A registry: where documents and instances come from, and what whoever uses one may rely on.
//
// Two of them exist, a file and etcd, and one conformance suite (test/conformance/registry.test.ts) holds both to this:
//
// Promise 1  All changes of one revision (one save of the file, one etcd transaction) arrive in one picture.
// Promise 2  What is broken never replaces what is good. A file is judged whole, in etcd each document by itself; the
//            event `rejected` says what was refused, and `picture.warnings` keeps saying it until it is mended.
// Promise 3  Losing the registry loses nothing: the last picture stays, `connected` goes false, and the registry is
//            tried again until `stop`. After that the picture equals what the registry holds, whatever was missed.
// Promise 4  Nothing is pretended: `start` resolves when the first picture is there and not before.
// Promise 5  A registration stands for as long as its owner lives and no longer (etcd: a lease of 15 s, renewed every
//            5 s, and written again whenever it was lost).
// Promise 6  `read`, `list`, `apply` and `remove` need no `start`: a command that writes once watches nothing.
//
// Not promised: that every revision becomes a picture. Revisions that arrive together are published together.

import type { DocumentId, DocumentKind, Documents, InstanceDocument, InstanceState, Written } from "../config/index.ts";

/** One consistent state of the mesh as the registry holds it. */
export interface RegistryPicture {
  /** etcd: the store's revision that was last seen. File: how many saves took effect. For people and metrics. */
  readonly revision: number;
  readonly documents: Documents;
  /** Everything that is wrong or not acted on at the moment. */
  readonly warnings: readonly RegistryIssue[];
  /** Wall clock, ms: the registry was not there yet, and this is what it held then (`--state`). */
  readonly keptAtMs?: number | undefined;
}

/** A problem with what the registry holds. */
export interface RegistryIssue {
  /** `mesh.yaml:12:7`, or the etcd key. */
  readonly where: string;
  /** Field within the document, joined by dots; empty for the whole. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** What happens to a registry. */
export type RegistryEvent =
  | { readonly kind: "picture"; readonly picture: RegistryPicture }
  /** Something new was refused; the last good stays. Each event is one for `pillion_config_rejected_total`. */
  | { readonly kind: "rejected"; readonly issues: readonly RegistryIssue[] }
  | { readonly kind: "connected" }
  /** We cannot see the registry; `problem` says why, the next try is `retryMs` away (a file: it is watched). */
  | { readonly kind: "disconnected"; readonly problem: string; readonly retryMs?: number }
  | {
      readonly kind: "registration";
      readonly service: string;
      readonly id: string;
      readonly state: RegistrationState;
      readonly problem?: string | undefined;
    };

export type RegistryListener = (event: RegistryEvent) => void;

/** pending: not written yet, or lost; taken: somebody else holds our id. */
export type RegistrationState = "pending" | "registered" | "taken" | "stopped";

/** What is registered: an instance of `service` under `id`. */
export interface RegistrationRequest {
  readonly service: string;
  readonly id: string;
  readonly document: InstanceDocument;
}

/** An instance that is kept registered. */
export interface Registration {
  readonly state: RegistrationState;
  /**
   * Changes fields of the instance's document, its `state` above all. Resolves to whether the registry has it; false
   * after a few seconds without an answer, and then it is written as soon as there is one.
   */
  update(fields: Partial<InstanceDocument> & { readonly state?: InstanceState }): Promise<boolean>;
  /** Takes the instance out; resolves when the registry has done so, or after a few seconds without an answer. */
  stop(): Promise<void>;
}

/** A document as it is stored. */
export interface StoredDocument {
  readonly id: DocumentId;
  /** As written, without defaults; a text where it is no JSON object. */
  readonly value: Written | string;
  /** For `expectedRevision`; changes whenever the document does. */
  readonly revision: string;
  /** It is gone when its owner is (etcd: it hangs on a lease). */
  readonly isLeased: boolean;
}

/** One document to write or, without a value, to delete. */
export interface RegistryChange {
  readonly id: DocumentId;
  readonly value: Written | undefined;
  /** What must still be stored; `ABSENT`: nothing. Left out: whatever is there is replaced. */
  readonly expectedRevision?: string;
}

/** `expectedRevision` of a document that must not exist. */
export const ABSENT = "0";

export interface ApplyOptions {
  /** Split what does not fit one transaction: services, then instances, then routes. Not atomic. */
  readonly isChunked?: boolean;
}

/** Where documents and instances come from. */
export interface Registry {
  /** Begins to watch; resolves with the first picture, however long that takes, and rejects only when stopped. */
  start(): Promise<void>;
  /** Ends everything, registrations last. */
  stop(): Promise<void>;
  /** Calls `listener` for each event until the returned function is called. Listeners do not throw. */
  subscribe(listener: RegistryListener): () => void;
  /** The last picture. */
  readonly picture: RegistryPicture | undefined;
  /** Whether we see the registry now; a file is connected while it can be read. */
  readonly connected: boolean;
  /** Asks for the instances of a service; those that routes name come by themselves. Resolves when they are in. */
  want(service: string): Promise<void>;
  /** Keeps an instance registered until stopped. A file registry only remembers it. */
  register(request: RegistrationRequest): Registration;
  read(id: DocumentId): Promise<StoredDocument | undefined>;
  /** All documents, or those of one kind, in the order of their keys. */
  list(kind?: DocumentKind): Promise<readonly StoredDocument[]>;
  /** Writes all changes or none; throws `PILLION_REGISTRY_CONFLICT` where an expected revision does not hold. */
  apply(changes: readonly RegistryChange[], options?: ApplyOptions): Promise<void>;
  /** Deletes documents in one transaction; resolves to how many there were. */
  remove(ids: readonly DocumentId[]): Promise<number>;
}
