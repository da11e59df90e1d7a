// The app beside us, as the snapshot has it.

import type { ProcessConfig } from "../config/index.ts";
import type { LocalApp } from "../snapshot/index.ts";

/** The app's name where no `--service` gives one. */
const UNNAMED_SERVICE = "app";

/** What inbound requests are carried to; undefined without `--app`. */
export function describeApp(config: ProcessConfig, id: string | undefined): LocalApp | undefined {
  const { app, service, appProtocol } = config;
  if (app === undefined) return undefined;
  const name = service ?? UNNAMED_SERVICE;
  return { service: name, id: id ?? name, address: app, protocol: appProtocol };
}
