// The worlds: how many sidecars and servers, how much load, and what befalls the servers meanwhile.

import type { Mesh } from "./mesh.ts";

export interface World {
  readonly name: string;
  readonly about: string;
  readonly sidecars: number;
  readonly servers: number;
  /** Requests per second of all sidecars together, as a part of what untroubled servers can do. */
  readonly load: number;
  readonly seconds: number;
  readonly slowStartMs?: number;
  /** Servers are in the zones 0 and 1 by turns. Of a sidecar: its zone. */
  readonly zoneOf?: (sidecar: number) => number;
  /** Whether sidecars prefer their zone; default: where there are zones. */
  readonly prefersZone?: boolean;
  /** What happens, planned before the first request. */
  plan?(mesh: Mesh): void;
}

const SECOND = 1_000_000;

/** Every `periodUs` a fourth of the servers, the next one, is four times slower. */
function moveAntagonist(mesh: Mesh, periodUs: number, seconds: number): void {
  const size = mesh.servers.length / 4;
  for (let period = 0; period * periodUs < seconds * SECOND; period += 1) {
    mesh.at(period * periodUs, () => {
      for (const [index, server] of mesh.servers.entries()) {
        server.slowness = Math.floor(index / size) === period % 4 ? 4 : 1;
      }
    });
  }
}

/** A server that is slow at first and warms up evenly: empty caches, code not yet compiled. */
function warmUp(mesh: Mesh, place: number, factor: number, seconds: number): void {
  const server = mesh.members[place]?.server;
  if (server === undefined) return;
  const steps = 10;
  for (let step = 0; step <= steps; step += 1) {
    mesh.after((step * seconds * SECOND) / steps, () => {
      server.slowness = factor + ((1 - factor) * step) / steps;
    });
  }
}

export const WORLDS: readonly World[] = [
  { name: "equal", about: "16 equal servers", sidecars: 10, servers: 16, load: 0.8, seconds: 15 },
  {
    name: "two-slow",
    about: "2 of 16 are sixteen times slower",
    sidecars: 10,
    servers: 16,
    load: 0.6,
    seconds: 15,
    plan(mesh) {
      for (const server of mesh.servers.slice(0, 2)) server.slowness = 16;
    },
  },
  {
    name: "half-slow",
    about: "half of 16 are twice as slow",
    sidecars: 10,
    servers: 16,
    load: 0.55,
    seconds: 15,
    plan(mesh) {
      for (const server of mesh.servers.slice(0, 8)) server.slowness = 2;
    },
  },
  {
    name: "antagonist",
    about: "every 10 s another fourth of 16 is four times slower",
    sidecars: 10,
    servers: 16,
    load: 0.6,
    seconds: 30,
    plan: (mesh) => moveAntagonist(mesh, 10 * SECOND, 30),
  },
  {
    name: "failing",
    about: "1 of 3 fails at once, in 1 ms",
    sidecars: 3,
    servers: 3,
    load: 0.4,
    seconds: 20,
    plan(mesh) {
      for (const server of mesh.servers.slice(0, 1)) server.isFailing = true;
    },
  },
  {
    name: "herd",
    about: "100 sidecars, one request a second each, on 20 servers",
    sidecars: 100,
    servers: 20,
    load: 0.05,
    seconds: 60,
  },
  { name: "three", about: "3 servers", sidecars: 3, servers: 3, load: 0.7, seconds: 30 },
  {
    name: "newcomer",
    about: "a ninth server joins 8, six times slower at first, warm after 8 s",
    sidecars: 10,
    servers: 8,
    load: 0.75,
    seconds: 20,
    slowStartMs: 10_000,
    plan(mesh) {
      mesh.at(5 * SECOND, () => {
        mesh.join();
        warmUp(mesh, mesh.members.length - 1, 6, 8);
      });
    },
  },
  {
    name: "rolling",
    about: "8 servers, one after the other replaced; each new one is cold for 1 s",
    sidecars: 10,
    servers: 8,
    load: 0.6,
    seconds: 26,
    slowStartMs: 2_000,
    plan(mesh) {
      for (let place = 0; place < 8; place += 1) {
        mesh.at((2 + place * 3) * SECOND, () => {
          mesh.leave(place);
          mesh.after(SECOND / 2, () => {
            mesh.join();
            warmUp(mesh, mesh.members.length - 1, 3, 1);
          });
        });
      }
    },
  },
  {
    name: "zones",
    about: "16 servers in two zones; 8 of 10 callers are in one and have more to do than it can",
    sidecars: 10,
    servers: 16,
    load: 0.7,
    seconds: 15,
    zoneOf: (sidecar) => (sidecar < 8 ? 0 : 1),
  },
  ...[0.5, 0.7, 0.9, 1.1, 1.3].map((load): World => {
    const about = `16 equal servers at ${load} of their capacity, one busy with something else`;
    return {
      name: `load-${load}`,
      about,
      sidecars: 10,
      servers: 16,
      load,
      seconds: 12,
      plan(mesh) {
        for (const server of mesh.servers.slice(0, 1)) server.slowness = 2;
      },
    };
  }),
];
