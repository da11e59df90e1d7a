// How an instance is chosen out of a set (DESIGN §6): the codes that `beginSet` takes.
//
// Rule: read by asc and by Node: integer constants only, dense, because `pick` switches on them.

export const POLICY_ROUND_ROBIN = 0;
export const POLICY_WEIGHTED_ROUND_ROBIN = 1;
export const POLICY_RANDOM = 2;
export const POLICY_LEAST_CONNECTIONS = 3;
export const POLICY_RING_HASH = 4;
export const POLICY_MAGLEV = 5;
export const POLICY_ADAPTIVE = 6;
export const POLICIES_COUNT = 7;
