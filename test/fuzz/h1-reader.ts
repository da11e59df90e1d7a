// A small reader of HTTP/1.1 messages for fuzzed peers. It shares no code with the engine and takes what comes as it is
// cut; whatever the engine writes must be readable by it, so everything unexpected is an error.

/** How the body behind a head is to be read. */
export type Framing = "none" | "chunked" | "close" | "tunnel" | { readonly length: number };

export interface Head {
  readonly first: string;
  readonly fields: ReadonlyMap<string, string>;
}

export interface Listener {
  /** A head; says how its body is framed. "none" ends the message at once, undefined makes it an interim one. */
  head(head: Head): Framing | undefined;
  data(bytes: Buffer): void;
  end(): void;
}

export class H1Reader {
  readonly #listener: Listener;
  #rest: Buffer = Buffer.alloc(0);
  #state: "head" | "length" | "size" | "chunk" | "crlf" | "trailers" | "close" | "tunnel" = "head";
  #left = 0;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  /** Whether nothing of a message is under way. */
  get isBetween(): boolean {
    return this.#state === "head" && this.#rest.length === 0;
  }

  get isUntilClose(): boolean {
    return this.#state === "close" || this.#state === "tunnel";
  }

  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length > 0 && this.#step());
  }

  /** One element; false when it is not there as a whole. */
  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#readHead();
      case "length":
      case "chunk": {
        const part = this.#take(Math.min(this.#left, this.#rest.length));
        this.#left -= part.length;
        this.#listener.data(part);
        if (this.#left > 0) return false;
        if (this.#state === "chunk") this.#state = "crlf";
        else this.#finish();
        return true;
      }
      case "crlf":
        if (this.#rest.length < 2) return false;
        if (this.#take(2).toString("latin1") !== "\r\n") throw new Error("a chunk does not end");
        this.#state = "size";
        return true;
      case "size": {
        const line = this.#line();
        if (line === undefined) return false;
        if (!/^[0-9a-fA-F]+$/.test(line)) throw new Error(`a chunk of ${JSON.stringify(line)} bytes`);
        this.#left = Number.parseInt(line, 16);
        this.#state = this.#left === 0 ? "trailers" : "chunk";
        return true;
      }
      case "trailers": {
        const line = this.#line();
        if (line === undefined) return false;
        if (line === "") this.#finish();
        return true;
      }
      default:
        this.#listener.data(this.#take(this.#rest.length));
        return true;
    }
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const [first = "", ...lines] = this.#take(end + 4)
      .toString("latin1")
      .slice(0, -4)
      .split("\r\n");
    const fields = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      if (colon < 1) throw new Error(`not a field: ${JSON.stringify(line)}`);
      fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    const framing = this.#listener.head({ first, fields });
    if (framing === undefined) return true;
    if (framing === "none") this.#finish();
    else if (framing === "chunked") this.#state = "size";
    else if (framing === "close") this.#state = "close";
    else if (framing === "tunnel") this.#state = "tunnel";
    else if (framing.length === 0) this.#finish();
    else {
      this.#state = "length";
      this.#left = framing.length;
    }
    return true;
  }

  #finish(): void {
    this.#state = "head";
    this.#listener.end();
  }

  #line(): string | undefined {
    const end = this.#rest.indexOf("\r\n");
    return end < 0
      ? undefined
      : this.#take(end + 2)
          .toString("latin1")
          .slice(0, -2);
  }

  #take(length: number): Buffer {
    const part = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return part;
  }
}

/** Framing that the fields of a message tell. */
export function framingOf(fields: ReadonlyMap<string, string>, otherwise: Framing): Framing {
  if (fields.get("transfer-encoding") === "chunked") return "chunked";
  const length = fields.get("content-length");
  return length === undefined ? otherwise : { length: Number(length) };
}
