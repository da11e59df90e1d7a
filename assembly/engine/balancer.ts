// What the engine calls in balancer.wasm: plain Wasm imports, no JavaScript between.
//
// The promises of each are in assembly/balancer/index.ts. A slot is an instance's place in the shared table, a set is
// what a route chooses from, a counter is one of the limits of a service. asc names the module of an import after this
// file.

export declare function pick(set: u32, hash: u32, skip0: u32, skip1: u32, skip2: u32): i32;
export declare function pickOnce(set: u32, hash: u32, skip0: u32, skip1: u32, skip2: u32): i32;
export declare function isProven(slot: u32): i32;
export declare function isQuiet(slot: u32): i32;
export declare function release(slot: u32): void;
export declare function connectionOpened(slot: u32): void;
export declare function connectionClosed(slot: u32): void;
export declare function pendingAdded(slot: u32): void;
export declare function pendingRemoved(slot: u32): void;
export declare function admit(service: u32, counter: u32): i32;
export declare function leave(service: u32, counter: u32): void;
export declare function countOf(service: u32, counter: u32): u32;
export declare function count(cell: u32, delta: u32): void;
export declare function observeLatency(cellBase: u32, us: u32): void;
export declare function observeInstance(slot: u32, us: u32, result: u32): void;
export declare function takeToken(key: u64, intervalNs: u64, toleranceNs: u64): u32;
export declare function markSilent(slot: u32): i32;
export declare function noteAway(slot: u32): void;
export declare function isAway(slot: u32): u32;
export declare function noteBack(slot: u32): i32;
export declare function setTime(us: f64): void;
export declare function report(slot: u32, inflight: u32, latencyUs: u32, flags: u32): void;
export declare function recordEstimate(slot: u32, us: u32): void;
export declare function estimateLatency(slot: u32): u32;
export declare function memberCountOf(set: u32): u32;
export declare function inflightOf(slot: u32): u32;
export declare function quiesce(): void;
