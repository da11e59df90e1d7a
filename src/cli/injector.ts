// `pillion injector`: the admission webhook that puts sidecars into pods as they are created.
//
// One process, no state, no access to the API server: it is asked, and it answers. deploy/kubernetes runs two of them.

import { type Command, InvalidArgumentError, Option } from "commander";
import {
  type Address,
  createLog,
  formatAddress,
  LOG_LEVELS,
  type LogLevel,
  parseListenAddress,
  systemClock,
} from "../base/index.ts";
import { Webhook } from "../injector/index.ts";
import { addInjectFlags, type InjectFlags, toInjectOptions } from "./inject-flags.ts";

interface InjectorFlags extends InjectFlags {
  readonly listen: Address;
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly logLevel: LogLevel;
}

function parseListen(text: string): Address {
  const parsed = parseListenAddress(text);
  if (!parsed.ok) throw new InvalidArgumentError(parsed.problem);
  if (parsed.value === undefined) throw new InvalidArgumentError("a webhook that is off needs no process");
  return parsed.value;
}

/** Serves until SIGTERM or SIGINT. */
async function runInjector(flags: InjectorFlags): Promise<void> {
  const log = createLog({ level: flags.logLevel });
  const inject = toInjectOptions(flags);
  const { listen, tlsCert: certPath, tlsKey: keyPath } = flags;
  const webhook = new Webhook({ listen, certPath, keyPath, inject, clock: systemClock, log });
  const address = await webhook.start();
  log.info({ ports: { listen: formatAddress(address) }, inject }, "listening");
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
  log.info({}, "stopping");
  await webhook.stop();
  log.flush();
}

/** Adds `injector`. */
export function registerInjector(program: Command): void {
  const command = program
    .command("injector")
    .description("the Kubernetes admission webhook that puts a sidecar into pods as they are created")
    .addOption(
      new Option("--listen <HOST:PORT>", "HTTPS").default(parseListen(":8443"), ":8443").argParser(parseListen),
    )
    .addOption(new Option("--tls-cert <FILE>", "certificate, PEM; read again when it changes").makeOptionMandatory())
    .addOption(new Option("--tls-key <FILE>", "its key, PEM").makeOptionMandatory())
    .addOption(new Option("--log-level <LEVEL>", "what is logged").choices(LOG_LEVELS).default("info"));
  addInjectFlags(command).action(runInjector);
}
