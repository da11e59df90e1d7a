// What happens when: a binary heap of actions by virtual time; equal times in the order in which they were entered.

interface Entry {
  readonly atUs: number;
  readonly order: number;
  readonly action: () => void;
}

export class Agenda {
  nowUs = 0;
  readonly #heap: Entry[] = [];
  #entered = 0;

  /** Has `action` happen `delayUs` from now. */
  after(delayUs: number, action: () => void): void {
    const entry = { atUs: this.nowUs + Math.max(0, delayUs), order: this.#entered, action };
    this.#entered += 1;
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent]!;
      if (!isBefore(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  /** Lets everything happen; ends when nothing is left to. */
  run(): void {
    for (let entry = this.#take(); entry !== undefined; entry = this.#take()) {
      this.nowUs = entry.atUs;
      entry.action();
    }
  }

  #take(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      const below = heap[child]!;
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(left: Entry, right: Entry): boolean {
  return left.atUs < right.atUs || (left.atUs === right.atUs && left.order < right.order);
}
