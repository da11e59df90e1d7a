// Setting up, taking out and checking, on whichever backend this host has.

import { type Backend, type BackendName, createBackends } from "./backends.ts";
import type { Plan } from "./plan.ts";
import { hasNetAdmin, type RunTool, runTool } from "./tools.ts";

export interface Outcome {
  /** Empty: done. */
  readonly problems: readonly string[];
  /** Backends that were used, or that have the rules. */
  readonly backends: readonly BackendName[];
}

export interface InterceptionOptions {
  /** Undefined: the first that works. */
  readonly backend: BackendName | undefined;
  readonly run?: RunTool;
  readonly isAdmin?: boolean;
}

/** What an administrator has to give. */
const NO_ADMIN =
  "rules need the capability NET_ADMIN, which this process does not have: in a container add " +
  '`capabilities: {add: ["NET_ADMIN", "NET_RAW"]}` to its securityContext, elsewhere run it as root';

/** Puts the plan in force; again changes nothing. */
export function setUpInterception(plan: Plan, options: InterceptionOptions): Outcome {
  return withBackends(options, (usable, chosen) => {
    const problems = chosen.setUp(plan);
    if (problems.length > 0) return { problems, backends: [] };
    const others = usable.filter((backend) => backend !== chosen);
    return { problems: others.flatMap((backend) => backend.tearDown()), backends: [chosen.name] };
  });
}

/** Takes out what there is; done as well where there is nothing. */
export function tearDownInterception(options: InterceptionOptions): Outcome {
  return withBackends(options, (usable) => ({
    problems: usable.flatMap((backend) => backend.tearDown()),
    backends: usable.map(({ name }) => name),
  }));
}

/** Whether exactly the plan is in force. */
export function checkInterception(plan: Plan, options: InterceptionOptions): Outcome {
  return withBackends(options, (usable) => {
    const compared = usable.map((backend) => ({ name: backend.name, problems: backend.compare(plan) }));
    const good = compared.filter(({ problems }) => problems.length === 0).map(({ name }) => name);
    if (good.length > 0) return { problems: [], backends: good };
    return {
      problems: compared.flatMap(({ name, problems }) => problems.map((text) => `${name} ${text}`)),
      backends: [],
    };
  });
}

/** The plan as files, by name. */
export function formatInterception(plan: Plan, { backend }: InterceptionOptions): Readonly<Record<string, string>> {
  const named = createBackends(runTool).filter(({ name }) => backend === undefined || name === backend);
  return Object.assign({}, ...named.map((each) => each.format(plan)));
}

function withBackends(
  { backend, run = runTool, isAdmin = hasNetAdmin() }: InterceptionOptions,
  act: (usable: readonly Backend[], chosen: Backend) => Outcome,
): Outcome {
  if (!isAdmin) return { problems: [NO_ADMIN], backends: [] };
  const probed = createBackends(run)
    .filter(({ name }) => backend === undefined || name === backend)
    .map((each) => ({ each, problem: each.probe() }));
  const usable = probed.filter(({ problem }) => problem === undefined).map(({ each }) => each);
  const [chosen] = usable;
  if (chosen !== undefined) return act(usable, chosen);
  const why = probed.map(({ problem }) => problem).join("; ");
  return { problems: [`neither nftables nor iptables can be used here: ${why}`], backends: [] };
}
