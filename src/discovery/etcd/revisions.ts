// Whole revisions out of the events of several watchers.
//
// We watch the documents of the mesh and, one range each, the instances of the services that we need: several watchers
// on one stream. etcd tells each of them separately, so one transaction may arrive as several responses, and a picture
// made after the first of them would show half of it.
//
// When etcd ends a transaction, it queues the responses of all watchers of a stream in one go. So after the first event
// of a revision we ask for a progress notice on the same stream: it makes the way to the server and back, and whatever
// the transaction had for us came before it. Events up to the revision that was newest when the question was sent are
// then released together. (From 3.4.25 and 3.5.8 on etcd even promises that order. The revision that a notice names is
// not looked at: 3.4.23 may name one whose events are still to come.) A notice that stays away holds events back for a
// moment only; it is not worth more than the news.
//
//   event 7 (routes) ──► held ──► question ──────────────► etcd
//   event 7 (users)  ──► held                                │
//   event 8 (users)  ──► held     released: 7, 7  ◄── notice ┘     8 waits for the next question
//
// Pure: the owner sends the question, keeps the time and applies what is released.

import type { IKeyValue } from "etcd3";

/** One key that changed. */
export interface KeyEvent {
  readonly key: string;
  readonly revision: number;
  /** The new pair; `undefined`: deleted. */
  readonly pair: IKeyValue | undefined;
}

/** Holds events back until their revisions are whole. */
export class RevisionJoiner {
  #held: KeyEvent[] = [];
  /** The newest revision that the question under way covers. */
  #askedUpTo: number | undefined;

  /** Takes a response's events in; true: send a question now. */
  receive(events: readonly KeyEvent[]): boolean {
    this.#held.push(...events);
    return this.#ask();
  }

  /** The notice came, or its time is up: what is whole. */
  release(): { readonly events: readonly KeyEvent[]; readonly shouldAsk: boolean } {
    const limit = this.#askedUpTo ?? 0;
    this.#askedUpTo = undefined;
    const events = this.#held.filter(({ revision }) => revision <= limit);
    this.#held = this.#held.filter(({ revision }) => revision > limit);
    return { events: sortByRevision(events), shouldAsk: this.#ask() };
  }

  /** Everything, whole or not: the stream has ended, and nothing more will come for what is held. */
  flush(): readonly KeyEvent[] {
    const events = this.#held;
    this.#held = [];
    this.#askedUpTo = undefined;
    return sortByRevision(events);
  }

  #ask(): boolean {
    if (this.#askedUpTo !== undefined || this.#held.length === 0) return false;
    this.#askedUpTo = Math.max(...this.#held.map(({ revision }) => revision));
    return true;
  }
}

/** Stable, so events of one key keep their order. */
function sortByRevision(events: readonly KeyEvent[]): KeyEvent[] {
  return [...events].sort((left, right) => left.revision - right.revision);
}
