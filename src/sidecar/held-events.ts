// A registry is started before there is a sidecar to hear it: its first picture takes longer than anything else.

import type { Registry, RegistryEvent, RegistryListener } from "../discovery/index.ts";

export interface HeldEvents {
  /** Tells what was held, in order; from then on the listener hears the registry itself. Returns how to end that. */
  passTo(listener: RegistryListener): () => void;
}

/** Holds what a registry says until somebody listens. */
export function holdEvents(registry: Registry): HeldEvents {
  const held: RegistryEvent[] = [];
  const unsubscribe = registry.subscribe((event) => held.push(event));
  return {
    passTo(listener) {
      unsubscribe();
      held.forEach(listener);
      return registry.subscribe(listener);
    },
  };
}
