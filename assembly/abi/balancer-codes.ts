// Small integers at the balancer's door: states of instances, counters with limits, results.
//
// Rule: read by asc and by Node: integer constants only.

/** `pick` found nobody. As u32 (0xffffffff) it is also the empty entry of a skip list. */
export const NO_INSTANCE = -1;

// State bits of an instance. Any thread sets and clears EJECTED, the main thread the others.
/** Set aside by outlier detection for a while. */
export const STATE_EJECTED = 1;
/** Failed its active health checks. */
export const STATE_UNHEALTHY = 2;
/** Finishes what it has and takes nothing new. */
export const STATE_DRAINING = 4;
/** No longer in the registry; the slot waits until nothing refers to it. */
export const STATE_REMOVED = 8;
/** Any of these: outside of the eligible set. */
export const STATE_INELIGIBLE = 15;
/** Any of these: outside even when more than half of a set is gone (panic). */
export const STATE_GONE = 12;

// Counters with a limit, per service: `limits` of a service's document.
export const COUNTER_REQUESTS = 0;
export const COUNTER_PENDING = 1;
export const COUNTER_CONNECTIONS = 2;
export const COUNTER_RETRIES = 3;
export const COUNTERS_COUNT = 4;

// How an attempt ended (`observeInstance`).
export const RESULT_OK = 0;
export const RESULT_FAILED = 1;
/** The client went away, or the attempt was given up before the instance could answer: says nothing about it. */
export const RESULT_UNKNOWN = 2;
/** Given up for another attempt that was faster: it takes at least this long. Neither a success nor a failure. */
export const RESULT_SLOW = 3;

// Flags of a load report.
/** The instance takes no new requests soon. */
export const REPORT_DRAINING = 1;

// Why an instance was ejected.
export const EJECTED_CONSECUTIVE = 1;
export const EJECTED_SUCCESS_RATE = 2;
/** Owes answers and has sent nothing for too long (DESIGN §6, silence). */
export const EJECTED_SILENT = 3;
/** Said in its load report that it drains. */
export const EJECTED_DRAINING = 4;

// How a set stands (`modeOf`): which of its members a pick may take.
/** Not yet looked at since the last change of a state or of the set. */
export const MODE_UNKNOWN = 0;
/** Every member is eligible. */
export const MODE_ALL = 1;
/** Some members are stepped over. */
export const MODE_SOME = 2;
/** More than half is ejected or unhealthy: all but draining and removed members are used. */
export const MODE_PANIC = 3;
/** Every member is draining or removed. */
export const MODE_NONE = 4;

// Results of `beginSet` and `commitSet`.
export const COMMIT_OK = 0;
/** The arena has no room even after reclaiming; the set keeps its former members. */
export const COMMIT_ARENA_FULL = 1;
