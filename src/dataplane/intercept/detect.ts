// What a client speaks, by its first bytes.
//
//   "GET /x HTTP/1.1␍␊Host: …"   HTTP/1.x, once the Host field is there   RFC 9112 §3
//   "PRI * HTTP/2.0␍␊…"          HTTP/2 with prior knowledge              RFC 9113 §3.4
//   anything else                TCP, TLS too: its bytes are nobody's business here
//
// Pure: bytes in, a verdict out; `more` asks for the bytes so far and further ones.

export type Verdict =
  | { readonly kind: "more" }
  | { readonly kind: "http1"; readonly host: string | undefined }
  | { readonly kind: "http2" }
  | { readonly kind: "tcp" };

/** A head that is longer without naming its host is passed on as it is; nginx's and Envoy's heads end long before. */
export const DETECT_BYTES_MAX = 64 * 1024;
/** A request line without an end by then is none: the engine would refuse it (limits.ts). */
const LINE_BYTES_MAX = 16 * 1024;
/** Longer than the method of any registered extension (UPDATEREDIRECTREF). */
const METHOD_BYTES_MAX = 20;

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const MORE: Verdict = { kind: "more" };
const TCP: Verdict = { kind: "tcp" };

export function detectProtocol(bytes: Buffer): Verdict {
  const text = bytes.toString("latin1", 0, DETECT_BYTES_MAX);
  if (text.startsWith(PREFACE)) return { kind: "http2" };
  if (PREFACE.startsWith(text)) return MORE;
  const [method = ""] = /^[A-Z-]*/.exec(text) ?? [];
  if (method === "" || method.length > METHOD_BYTES_MAX) return TCP;
  if (method.length === text.length) return MORE;
  if (text[method.length] !== " ") return TCP;
  const lineEnd = text.indexOf("\n");
  if (lineEnd < 0) return text.length > LINE_BYTES_MAX ? TCP : MORE;
  if (!/ HTTP\/1\.\d\r?$/.test(text.slice(0, lineEnd))) return TCP;
  const headEnd = /\n\r?\n/.exec(text.slice(lineEnd));
  const head = headEnd === null ? text : text.slice(0, lineEnd + headEnd.index + 1);
  // A value is whole when its line is.
  const [, host] = /\nhost:[ \t]*([^\r\n]*?)[ \t]*\r?\n/i.exec(head) ?? [];
  if (host !== undefined || headEnd !== null || bytes.length >= DETECT_BYTES_MAX) return { kind: "http1", host };
  return MORE;
}
