// An outbound sidecar of the simulation: publishes members, picks, waits for the answer, observes, takes reports.

import { RESULT_FAILED, RESULT_OK } from "../../assembly/abi/balancer-codes.ts";
import { hashText, POLICY_CODES, type PolicyName } from "../../src/wasm/index.ts";
import type { Agenda } from "./agenda.ts";
import type { Seat } from "./memories.ts";
import type { Server } from "./server.ts";

/** One way between two sidecars. */
const NETWORK_US = 250;
/** Reports of a connection that writes anyway, and of an idle one (DESIGN §2). */
const REPORT_GAP_US = 10_000;
const REPORT_IDLE_US = 1_000_000;
const NO_SKIP = -1;

/** A member of the service: which server, in which slot counted from the run's first. */
export interface Member {
  readonly place: number;
  readonly server: Server;
}

interface Channel {
  reportedAtUs: number;
}

export interface SidecarOptions {
  readonly agenda: Agenda;
  readonly seat: Seat;
  readonly policy: PolicyName;
  /** Whether servers stand behind sidecars that report. */
  readonly hasReports: boolean;
  readonly slowStartMs: number;
  /** Whether a server is in the sidecar's zone; `undefined`: zones do not count. */
  readonly isLocal: ((place: number) => boolean) | undefined;
  /** Virtual time after which nothing repeats itself any more. */
  readonly endUs: number;
}

export class Sidecar {
  readonly #options: SidecarOptions;
  readonly #channels = new Map<number, Channel>();
  readonly #known = new Set<number>();
  #members = new Map<number, Member>();

  constructor(options: SidecarOptions) {
    this.#options = options;
    const { main, number } = options.seat;
    // The defaults of DESIGN §3.
    main.setOutlier(number, 5, 512, 10_000, 1_000, 60_000, 512);
    main.setSlowStart(number, options.slowStartMs);
  }

  /** Publishes who answers from now on. */
  publish(members: readonly Member[]): void {
    const { agenda, seat, policy, isLocal } = this.#options;
    const { main, number, firstSlot } = seat;
    main.setTime(agenda.nowUs + 1);
    for (const { place } of members) {
      if (this.#known.has(place)) continue;
      this.#known.add(place);
      main.setInstance(firstSlot + place, 100, 1);
    }
    main.beginSet(number, POLICY_CODES[policy], number, members.length);
    if (isLocal !== undefined) main.preferLocal();
    for (const { place } of members) {
      if (isLocal !== undefined) main.setLocal(firstSlot + place, isLocal(place) ? 1 : 0);
      main.addMember(firstSlot + place, 100, hashText(`i${place}`));
    }
    main.commitSet();
    this.#members = new Map(members.map((member) => [member.place, member]));
  }

  /** Sends one request; `done` hears how it ended and what it took. */
  send(hash: number, done: (isOk: boolean, us: number, place: number) => void): void {
    const { agenda, seat } = this.#options;
    const { worker, number, firstSlot } = seat;
    const startedUs = agenda.nowUs;
    worker.setTime(startedUs);
    const slot = worker.pick(number, hash, NO_SKIP, NO_SKIP, NO_SKIP);
    worker.quiesce();
    const member = this.#members.get(slot - firstSlot);
    if (member === undefined) throw new Error(`the balancer picked slot ${slot}, which no member has`);
    this.#open(member);
    agenda.after(NETWORK_US, () =>
      member.server.take((isOk) => {
        const report = this.#reportOf(member);
        agenda.after(NETWORK_US, () => {
          const us = agenda.nowUs - startedUs;
          worker.setTime(agenda.nowUs);
          report?.();
          worker.observeInstance(slot, Math.round(us), isOk ? RESULT_OK : RESULT_FAILED);
          worker.release(slot);
          worker.quiesce();
          done(isOk, us, member.place);
        });
      }),
    );
  }

  /** The connection's first request: from now on it reports even when idle. */
  #open(member: Member): void {
    const { agenda, hasReports, endUs } = this.#options;
    if (!hasReports || this.#channels.has(member.place)) return;
    const channel: Channel = { reportedAtUs: agenda.nowUs };
    this.#channels.set(member.place, channel);
    const look = () => {
      if (agenda.nowUs > endUs || !this.#members.has(member.place)) return;
      if (agenda.nowUs - channel.reportedAtUs >= REPORT_IDLE_US) {
        const report = this.#reportOf(member);
        agenda.after(NETWORK_US, () => {
          this.#options.seat.worker.setTime(agenda.nowUs);
          report?.();
        });
      }
      agenda.after(Math.max(1_000, channel.reportedAtUs + REPORT_IDLE_US - agenda.nowUs), look);
    };
    agenda.after(REPORT_IDLE_US, look);
  }

  /** The report that the server's sidecar writes to us now, if it is time for one; run it on arrival. */
  #reportOf({ place, server }: Member): (() => void) | undefined {
    const { agenda, seat } = this.#options;
    const channel = this.#channels.get(place);
    if (channel === undefined || agenda.nowUs - channel.reportedAtUs < REPORT_GAP_US) return undefined;
    channel.reportedAtUs = agenda.nowUs;
    const { inflight, latencyUs } = server.report();
    return () => seat.worker.report(seat.firstSlot + place, inflight, latencyUs, 0);
  }
}
