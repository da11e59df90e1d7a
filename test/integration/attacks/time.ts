// Attacks by waiting: each ends by one of the engine's timeouts of ten seconds, and all of them wait together.

import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { openRaw } from "../../support/foreign-clients.ts";
import * as h2 from "../../support/frames.ts";
import { waitUntil } from "../../support/process.ts";
import type { Attack } from "./attack.ts";
import { fields } from "./peer.ts";

const CONNECTIONS = 300;

/** Bytes one by one, until the connection is closed. */
async function dribble(write: (byte: Uint8Array) => void, bytes: Uint8Array, isOver: () => boolean): Promise<void> {
  for (let at = 0; at < bytes.length && !isOver(); at += 1) {
    write(bytes.subarray(at, at + 1));
    await pause(1_000);
  }
}

export const TIME_ATTACKS: readonly Attack[] = [
  {
    id: "A26",
    title: "silence",
    isPatient: true,
    peer: { isSilent: true },
    run: () => {},
    ends: "closed",
  },
  {
    id: "A26",
    title: "a preface byte by byte",
    isPatient: true,
    peer: { isSilent: true },
    run: (peer) =>
      dribble(
        (byte) => peer.say(byte),
        h2.PREFACE,
        () => peer.isClosed,
      ),
    ends: "closed",
  },
  {
    id: "A26",
    title: "SETTINGS that are never acknowledged",
    isPatient: true,
    peer: { isRude: true },
    run: () => {},
    ends: "SETTINGS_TIMEOUT",
    glitch: "settings",
  },
  {
    id: "A26",
    title: "a frame byte by byte",
    isPatient: true,
    run: (peer) =>
      dribble(
        (byte) => peer.say(byte),
        h2.headers(1, fields("aside", "/status/200")),
        () => peer.isClosed,
      ),
    ends: "SETTINGS_TIMEOUT",
    glitch: "slow-head",
  },
  {
    id: "A26",
    title: "a field block that is not ended",
    isPatient: true,
    run: (peer) => void peer.say(h2.headers(1, fields("aside", "/status/200"), 0)),
    ends: "SETTINGS_TIMEOUT",
    glitch: "slow-head",
  },
  {
    id: "A32",
    title: "very many idle connections",
    isPatient: true,
    async run(_, arena) {
      const [host = "", port = ""] = arena.sidecar.outbound.split(":");
      const sockets = Array.from({ length: CONNECTIONS * arena.volume }, () => connect(Number(port), host));
      for (const socket of sockets) socket.on("error", () => {}).resume();
      await waitUntil("all are closed", () => sockets.every(({ closed }) => closed), 60_000);
    },
    ends: "bounded",
  },
  {
    id: "H1",
    title: "a head byte by byte",
    isPatient: true,
    async run(_, { sidecar }) {
      await using raw = await openRaw(sidecar.outbound);
      let isOver = false;
      const end = raw.readUntilEnd().then((text) => {
        isOver = true;
        return text;
      });
      await dribble(
        (byte) => raw.socket.write(byte),
        Buffer.from("GET / HTTP/1.1\r\nhost: aside\r\n"),
        () => isOver,
      );
      if (!(await end).startsWith("HTTP/1.1 408 ")) throw new Error(`${await end} instead of 408`);
    },
    ends: "bounded",
    glitch: "slow-head",
  },
];
