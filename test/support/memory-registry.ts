// A registry in memory, for tests of who uses one: pictures are set by the test, registrations are written down.

import { parseMeshFile } from "../../src/config/index.ts";
import type {
  Registration,
  RegistrationRequest,
  RegistrationState,
  Registry,
  RegistryEvent,
  RegistryListener,
  RegistryPicture,
} from "../../src/discovery/index.ts";

export interface MemoryRegistry extends Registry {
  /** Puts a mesh (YAML) in force. */
  set(text: string): void;
  send(event: RegistryEvent): void;
  /** What was done to registrations, in order: `ready users/a 127.0.0.1:1`, `draining users/a`, `out users/a`. */
  readonly history: readonly string[];
  readonly isStopped: boolean;
}

export function createMemoryRegistry(text?: string): MemoryRegistry {
  const listeners = new Set<RegistryListener>();
  const history: string[] = [];
  const started = Promise.withResolvers<void>();
  let picture: RegistryPicture | undefined;
  let isStopped = false;
  const send = (event: RegistryEvent) => {
    for (const listener of listeners) listener(event);
  };
  const set = (next: string) => {
    const file = parseMeshFile(next, { fileName: "mesh.yaml" });
    if (!file.ok) throw new Error(JSON.stringify(file.issues));
    picture = { revision: (picture?.revision ?? 0) + 1, documents: file.documents, warnings: [] };
    send({ kind: "picture", picture });
    started.resolve();
  };
  const unused = () => Promise.reject(new Error("not part of this registry"));
  return {
    set,
    send,
    history,
    get isStopped() {
      return isStopped;
    },
    start() {
      if (text !== undefined) set(text);
      return started.promise;
    },
    async stop() {
      isStopped = true;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get picture() {
      return picture;
    },
    connected: true,
    want: () => Promise.resolve(),
    register: (request) => register(request, history),
    read: unused,
    list: unused,
    apply: unused,
    remove: unused,
  };
}

function register({ service, id, document }: RegistrationRequest, history: string[]): Registration {
  let state: RegistrationState = "registered";
  history.push(`${document.state} ${service}/${id} ${document.address}`);
  return {
    get state() {
      return state;
    },
    async update(fields) {
      history.push(`${fields.state} ${service}/${id}`);
      return true;
    },
    async stop() {
      state = "stopped";
      history.push(`out ${service}/${id}`);
    },
  };
}
