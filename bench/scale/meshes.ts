// Meshes of two sizes that differ in nothing else: the same requests take the same way through both.

import { chooseLoads, type Load } from "../load/loads.ts";
import { AUTHORITY } from "../peers/pillion.ts";

export const MANY = 10_000;
const FEW = 3;

/** What the requests ask for. */
const PATH = "/100";

export interface Scene {
  readonly name: string;
  readonly title: string;
  /** The mesh with so many instances and routes; `address` is the backend. */
  write(count: number, address: string): unknown;
  readonly few: number;
  readonly loads: readonly Load[];
}

const instancesOf = (count: number, address: string) =>
  Array.from({ length: count }, (_, index) => ({ id: `i${index}`, address }));

/** `count` rules; the last is the one that matches. */
function rulesOf(count: number): unknown[] {
  return Array.from({ length: count }, (_, index) => ({
    match: { path: { exact: index === count - 1 ? PATH : `/api/v1/resource${index}` } },
    to: [{ service: AUTHORITY }],
  }));
}

const MANY_AT_ONCE = chooseLoads(["h2-10x32", "h2-50x1"]);
/** More at once would overflow from the instance that the hash names to others, by the bound on its load. */
const ONE_AT_A_TIME: Load = {
  ...(MANY_AT_ONCE[0] as Load),
  name: "h2-1x1",
  title: "h2c, 1 × 1, 100 B",
  connections: 1,
  streams: 1,
};

export const SCENES: readonly Scene[] = [
  {
    name: "beside",
    title: "routes, and instances of another service: the requests go to a service of one instance",
    few: FEW,
    loads: MANY_AT_ONCE,
    write: (count, address) => ({
      services: {
        [AUTHORITY]: { protocol: "http2", instances: [{ id: "a", address }] },
        crowd: { protocol: "http2", instances: instancesOf(count, address) },
      },
      routes: { all: { hosts: [AUTHORITY], rules: rulesOf(count) } },
    }),
  },
  {
    name: "chosen",
    title: "routes and instances of the service itself, chosen by Maglev of the path: one instance, one connection",
    few: FEW,
    loads: [ONE_AT_A_TIME],
    write: (count, address) => ({
      services: {
        [AUTHORITY]: {
          protocol: "http2",
          balance: { policy: "maglev", hash: { path: true } },
          instances: instancesOf(count, address),
        },
      },
      routes: { all: { hosts: [AUTHORITY], rules: rulesOf(count) } },
    }),
  },
];
