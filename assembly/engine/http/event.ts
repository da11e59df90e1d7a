// What a codec says: the fields of the event that its `receive` has just returned, and the input it reads from.
//
// Pulled, not pushed: `h1Receive` and `h2Receive` take bytes from [inputPtr, inputEnd), return one EVENT_*, and are
// called again until they say EVENT_NONE or EVENT_BLOCKED. So neither knows who listens, and the same bytes give the
// same events however they are cut.
//
// Rule 1: on EVENT_NONE the codec has taken all input (an incomplete element is kept in C_PARTIAL).
// Rule 2: pointers in an event (eventPtr, eventHead and the fields of it) hold until the next `receive` of anything.
//
// These are globals because they are the registers between two halves of one single-threaded module.

/** Where input starts and ends; the codec moves inputPtr. */
export let inputPtr: u32 = 0;
export let inputEnd: u32 = 0;

/** The stream (address), or NONE for the whole connection. */
export let eventStream: u32 = 0;
/** DATA: where the bytes lie. HEAD, TRAILERS, INFORMATIONAL: the head (address). */
export let eventPtr: u32 = 0;
/** DATA: how many. GOAWAY: the last stream id that the peer will process. */
export let eventLen: u32 = 0;
/** HEAD and DATA: whether the message ends here. */
export let eventEnd: bool = false;
/** RESET, GOAWAY, FATAL: RFC 9113 §7 code. REFUSE: REASON_*. */
export let eventCode: u32 = 0;
/** RESET: RESET_* flags. */
export let eventFlags: u32 = 0;
/** Time of this call, µs; set by the exports of index.ts before anything else runs. */
export let now: u64 = 0;

export function setInput(ptr: u32, end: u32): void {
  inputPtr = ptr;
  inputEnd = end;
}

export function setInputPtr(ptr: u32): void {
  inputPtr = ptr;
}

export function setNow(us: u64): void {
  now = us;
}

export function setHeadEvent(stream: u32, head: u32, end: bool): void {
  eventStream = stream;
  eventPtr = head;
  eventEnd = end;
}

export function setDataEvent(stream: u32, ptr: u32, length: u32, end: bool): void {
  eventStream = stream;
  eventPtr = ptr;
  eventLen = length;
  eventEnd = end;
}

export function setStreamEvent(stream: u32, code: u32, flags: u32): void {
  eventStream = stream;
  eventCode = code;
  eventFlags = flags;
}

export function setGoawayEvent(code: u32, last: u32): void {
  eventCode = code;
  eventLen = last;
}
