// The list of faults: what each of them is, whom it strikes and when. What a server then does is upstream/acts.ts.

export type Version = "http1" | "h2";

export interface Fault {
  readonly name: string;
  readonly title: string;
  readonly versions: readonly Version[];
  /** Name of what the struck servers do; `none` where processes or listeners are acted upon instead. */
  readonly act: string;
  /** Whom it strikes: the first of the servers, all of them, or one after another. */
  readonly scope: "one" | "all" | "moving";
  /** Share of the run after which it begins; 0: before the proxies are started. */
  readonly onset?: number;
  /** How long each is struck where the fault moves on; one second where nothing is said. */
  readonly stayMs?: number;
  /** Stopped as a process: `frozen` by SIGSTOP, `blackhole` also with a full queue of connections. */
  readonly stop?: "frozen" | "blackhole";
  /** Requests a second, where the fault shows under another load than the usual one only. */
  readonly rate?: number;
}

const BOTH: readonly Version[] = ["http1", "h2"];
const H1: readonly Version[] = ["http1"];
const H2: readonly Version[] = ["h2"];
/** Sparse enough that connections rest for about as long as a server keeps them. */
const SPARSE = 24;

export const FAULTS: readonly Fault[] = [
  { name: "none", title: "no fault", versions: BOTH, act: "none", scope: "one" },
  { name: "slow", title: "one 16 × slower", versions: BOTH, act: "slow", scope: "one" },
  { name: "slow-moving", title: "another one 16 × slower each second", versions: BOTH, act: "slow", scope: "moving" },
  { name: "silent", title: "accepts, reads, never answers", versions: BOTH, act: "silent", scope: "one" },
  { name: "stalls", title: "answers the head and stalls", versions: BOTH, act: "stall", scope: "one" },
  { name: "reset-accept", title: "resets after accept", versions: BOTH, act: "reset-accept", scope: "one" },
  { name: "reset-request", title: "executes, then resets", versions: BOTH, act: "reset-request", scope: "one" },
  { name: "reset-body", title: "resets in the middle of the body", versions: BOTH, act: "reset-body", scope: "one" },
  { name: "refuses", title: "port closed", versions: BOTH, act: "refuse", scope: "one" },
  { name: "crash", title: "dies while serving", versions: BOTH, act: "refuse", scope: "one", onset: 0.3 },
  { name: "frozen", title: "process stopped", versions: BOTH, act: "none", scope: "one", onset: 0.3, stop: "frozen" },
  { name: "blackhole", title: "SYN unanswered", versions: BOTH, act: "none", scope: "one", stop: "blackhole" },
  { name: "idle-1s", title: "closes after 1 s idle", versions: H1, act: "idle-1s", scope: "all", rate: SPARSE },
  { name: "idle-random", title: "closes idle at random", versions: H1, act: "idle-random", scope: "all", rate: SPARSE },
  { name: "close-after", title: "closes after each answer, unsaid", versions: H1, act: "close-after", scope: "one" },
  { name: "close-all", title: "all close after each answer, unsaid", versions: H1, act: "close-after", scope: "all" },
  { name: "goaway-low", title: "GOAWAY with a low last id", versions: H2, act: "goaway-low", scope: "one" },
  { name: "goaway-on", title: "GOAWAY, then goes on", versions: H2, act: "goaway-on", scope: "one" },
  { name: "goaway-lies", title: "GOAWAY promises all, then closes", versions: H2, act: "goaway-lies", scope: "one" },
  { name: "goaway-denies", title: "GOAWAY denies what it did", versions: H2, act: "goaway-denies", scope: "one" },
  { name: "refused", title: "REFUSED_STREAM, one in three", versions: H2, act: "refused", scope: "one" },
  { name: "internal", title: "RST_STREAM, one in three", versions: H2, act: "internal", scope: "one" },
  { name: "streams-1", title: "MAX_CONCURRENT_STREAMS 1", versions: H2, act: "streams-1", scope: "one", onset: 0.3 },
  { name: "503", title: "503 at once", versions: BOTH, act: "503", scope: "one" },
  { name: "503-bursts", title: "503 in bursts", versions: BOTH, act: "503-bursts", scope: "one" },
  { name: "flapping", title: "2 s up, 2 s down", versions: BOTH, act: "flap", scope: "one" },
  { name: "rolling", title: "all restarted in turn", versions: BOTH, act: "restart", scope: "moving", stayMs: 1_500 },
  { name: "slow-start", title: "restarts, cold for 3 s", versions: BOTH, act: "cold", scope: "one", onset: 0.2 },
  { name: "garbage", title: "garbage as answers", versions: BOTH, act: "garbage", scope: "one" },
  { name: "length", title: "wrong content-length", versions: BOTH, act: "length", scope: "one" },
];

/** The slice of a quick run: one of each family. */
export const QUICK = ["silent", "reset-request", "refuses", "503", "goaway-lies", "rolling"];

/** Those whose names are given, in the order of the list. */
export function chooseFaults(names: readonly string[]): readonly Fault[] {
  const unknown = names.filter((name) => !FAULTS.some((fault) => fault.name === name));
  if (unknown.length > 0) {
    throw new Error(`no such fault: ${unknown.join(", ")} (${FAULTS.map(({ name }) => name).join(", ")})`);
  }
  return names.length === 0 ? FAULTS : FAULTS.filter(({ name }) => names.includes(name));
}
