// The flags that `pillion inject` and `pillion injector` share: what is put into pods, whoever puts it there.

import { type Command, InvalidArgumentError, Option } from "commander";
import { type Parsed, parseDuration } from "../base/index.ts";
import { PROCESS_FLAGS } from "../config/index.ts";
import {
  INTERCEPT_DEFAULT,
  type InjectOptions,
  KUBERNETES_DEFAULT,
  MESH_DEFAULT,
  PRE_STOP_SLEEP_SECONDS,
  RESOURCES_DEFAULT,
} from "../injector/index.ts";
import { readVersion } from "./version.ts";

/** What commander hands over. */
export interface InjectFlags {
  readonly mesh: string;
  readonly image: string;
  readonly interceptImage: string;
  readonly imagePullPolicy?: "Always" | "IfNotPresent" | "Never";
  readonly kubernetes: number;
  readonly classic: boolean;
  readonly intercept: "off" | "redirect";
  readonly registrySecret?: string;
  readonly preStopSleep: number;
  readonly cpuRequest: string;
  readonly cpuLimit?: string;
  readonly memoryRequest: string;
  readonly memoryLimit: string;
}

/** Adds the flags; each is also `PILLION_INJECT_<FLAG>` in the environment. */
export function addInjectFlags(command: Command): Command {
  const version = readVersion();
  const { cpuRequest, memoryRequest, memoryLimit } = RESOURCES_DEFAULT;
  const rows: readonly Option[] = [
    new Option("--mesh <URL>", "--mesh of the sidecars").default(MESH_DEFAULT).argParser(parseMesh),
    new Option("--image <IMAGE>", "the sidecar's image").default(`pillion:${version}`),
    new Option("--intercept-image <IMAGE>", "the image that sets interception rules").default(
      `pillion-intercept:${version}`,
    ),
    new Option("--image-pull-policy <POLICY>", "of both images").choices(["Always", "IfNotPresent", "Never"]),
    new Option("--kubernetes <VERSION>", "the cluster's version; before 1.29 sidecars are classic ones")
      .default(parseMinor(KUBERNETES_DEFAULT), KUBERNETES_DEFAULT)
      .argParser(parseMinor),
    new Option("--classic", "an ordinary container instead of a native sidecar").default(false),
    new Option("--intercept <MODE>", "redirect: the pod's connections pass through the sidecar by themselves")
      .choices(["off", "redirect"])
      .default(INTERCEPT_DEFAULT),
    new Option("--registry-secret <NAME>", "a Secret with ca.crt, tls.crt and tls.key for etcds://, in each namespace"),
    new Option("--pre-stop-sleep <DURATION>", "how long an app goes on after it is told to end; 0s: no hook is added")
      .default(PRE_STOP_SLEEP_SECONDS, `${PRE_STOP_SLEEP_SECONDS}s`)
      .argParser(parseSeconds),
    new Option("--cpu-request <CPU>", "CPU that a sidecar reserves").default(cpuRequest),
    new Option("--cpu-limit <CPU>", "CPU that a sidecar never exceeds"),
    new Option("--memory-request <SIZE>", "memory that a sidecar reserves").default(memoryRequest),
    new Option("--memory-limit <SIZE>", "memory that a sidecar never exceeds").default(memoryLimit),
  ];
  for (const option of rows) {
    const name = option.long?.slice(2).toUpperCase().replaceAll("-", "_") ?? "";
    command.addOption(option.env(`PILLION_INJECT_${name}`));
  }
  return command;
}

/** The flags as the injector takes them. */
export function toInjectOptions(flags: InjectFlags): InjectOptions {
  return {
    mesh: flags.mesh,
    image: flags.image,
    interceptImage: flags.interceptImage,
    imagePullPolicy: flags.imagePullPolicy,
    kubernetesMinor: flags.kubernetes,
    isClassic: flags.classic,
    intercept: flags.intercept,
    registrySecret: flags.registrySecret,
    preStopSleepSeconds: flags.preStopSleep,
    resources: {
      cpuRequest: flags.cpuRequest,
      cpuLimit: flags.cpuLimit,
      memoryRequest: flags.memoryRequest,
      memoryLimit: flags.memoryLimit,
    },
  };
}

function accept<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new InvalidArgumentError(parsed.problem);
  return parsed.value;
}

function parseMesh(text: string): string {
  accept(PROCESS_FLAGS.mesh.parse(text));
  return text;
}

function parseMinor(text: string): number {
  const [, minor] = /^v?1\.(\d{1,3})(\.\d+)?([-+].*)?$/.exec(text) ?? [];
  if (minor === undefined) throw new InvalidArgumentError("write 1.33");
  return Number(minor);
}

function parseSeconds(text: string): number {
  return Math.round(accept(parseDuration(text)) / 1_000);
}
