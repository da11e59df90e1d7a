// Where each instance slot is reached, as one block of bytes.
//
// A worker that takes 10,000 objects out of a message and books them holds its requests up for 5 ms; a block is copied
// in a tenth of one, and of it a connect reads the one entry that it needs. Who compiles a snapshot writes it.
//
//   count of entries │ entry of slot 0 │ entry of slot 1 │ … │ hosts, UTF-8, each once
//
// The count is a u32, an entry four: generation, port, where its host begins, its length in bytes. No length, no
// endpoint.

/** Where an instance slot is reached; a generation tells a reused slot's users apart. */
export interface Endpoint {
  readonly slot: number;
  readonly generation: number;
  readonly host: string;
  readonly port: number;
}

const HEAD_BYTES = 4;
const ENTRY_BYTES = 16;

/** Writes the block; a slot comes once at most. */
export function encodeEndpoints(endpoints: readonly Endpoint[]): Uint8Array {
  const slots = endpoints.reduce((most, { slot }) => Math.max(most, slot + 1), 0);
  const entries = Buffer.alloc(HEAD_BYTES + slots * ENTRY_BYTES);
  entries.writeUInt32LE(slots);
  const places = new Map<string, { readonly from: number; readonly length: number }>();
  const texts: Buffer[] = [];
  let end = entries.length;
  for (const { slot, generation, host, port } of endpoints) {
    let place = places.get(host);
    if (place === undefined) {
      const text = Buffer.from(host);
      place = { from: end, length: text.length };
      places.set(host, place);
      texts.push(text);
      end += text.length;
    }
    const at = HEAD_BYTES + slot * ENTRY_BYTES;
    entries.writeUInt32LE(generation, at);
    entries.writeUInt32LE(port, at + 4);
    entries.writeUInt32LE(place.from, at + 8);
    entries.writeUInt32LE(place.length, at + 12);
  }
  // A copy: what `concat` gives lies in a pool of which a message would carry the whole.
  return new Uint8Array(Buffer.concat([entries, ...texts]));
}

/** Reads a block. */
export class EndpointTable {
  readonly #block: Buffer;

  constructor(block: Uint8Array = encodeEndpoints([])) {
    this.#block = Buffer.from(block.buffer, block.byteOffset, block.length);
  }

  /** The endpoint of a slot, if it has one and it is still that generation's. */
  find(slot: number, generation: number): Endpoint | undefined {
    const block = this.#block;
    const at = HEAD_BYTES + slot * ENTRY_BYTES;
    if (slot >= block.readUInt32LE() || block.readUInt32LE(at) !== generation) return undefined;
    const from = block.readUInt32LE(at + 8);
    const length = block.readUInt32LE(at + 12);
    if (length === 0) return undefined;
    return { slot, generation, host: block.toString("utf8", from, from + length), port: block.readUInt32LE(at + 4) };
  }
}
