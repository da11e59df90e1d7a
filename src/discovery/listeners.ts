// Who listens to a registry. A listener that throws is our bug; it must not keep the others from hearing the event.

import type { Log } from "../base/index.ts";
import type { RegistryEvent, RegistryListener } from "./registry.ts";

export interface Listeners {
  add(listener: RegistryListener): () => void;
  send(event: RegistryEvent): void;
}

/** Makes an empty set of listeners. */
export function createListeners(log: Log): Listeners {
  const listeners = new Set<RegistryListener>();
  return {
    add(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    send(event) {
      for (const listener of [...listeners]) {
        try {
          listener(event);
        } catch (error) {
          log.error({ error, event: event.kind }, "a listener of the registry failed");
        }
      }
    },
  };
}
