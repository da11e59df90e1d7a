// What tests of injection ask for unless they ask for something else.

import { type InjectOptions, RESOURCES_DEFAULT } from "../../src/injector/index.ts";

/** The command's defaults with images of a fixed version. */
export function injectOptions(changes: Partial<InjectOptions> = {}): InjectOptions {
  return {
    mesh: "etcd://etcd.pillion.svc:2379",
    image: "pillion:1.0.0",
    interceptImage: "pillion-intercept:1.0.0",
    imagePullPolicy: undefined,
    kubernetesMinor: 33,
    isClassic: false,
    intercept: "off",
    registrySecret: undefined,
    preStopSleepSeconds: 5,
    resources: RESOURCES_DEFAULT,
    ...changes,
  };
}
