// Which service's requests are copied to which other: without circles.
//
// A copy is sent to a service and not routed again, so a circle does not multiply requests by itself. But it makes two
// services each other's test, and where copies meet a sidecar that routes them it would: nobody means it.

export class MirrorGraph {
  /** Service → services that get copies of its requests. */
  readonly #copies = new Map<string, Set<string>>();

  /** Adds that `to` get copies of the requests of all of `from`; yields the circle that this would close instead. */
  add(from: readonly string[], to: string): readonly string[] | undefined {
    for (const service of from) {
      const way = this.#wayFrom(to, service, new Set());
      if (way !== undefined) return [service, ...way];
    }
    for (const service of from) this.#copies.set(service, (this.#copies.get(service) ?? new Set()).add(to));
    return undefined;
  }

  #wayFrom(start: string, end: string, seen: Set<string>): string[] | undefined {
    if (start === end) return [end];
    seen.add(start);
    for (const next of this.#copies.get(start) ?? []) {
      const rest = seen.has(next) ? undefined : this.#wayFrom(next, end, seen);
      if (rest !== undefined) return [start, ...rest];
    }
    return undefined;
  }
}
