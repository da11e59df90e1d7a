// The configuration of one process: flags before environment before flags file before defaults.
//
// Pure: the command line, the environment and the file's text come in as arguments, and everything that is wrong with
// any of them comes out at once, each named as the person wrote it (`--app`, `PILLION_APP`, `pillion.yaml:3`).

import { isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { nearestOf } from "../base/index.ts";
import { placeOf } from "./locate.ts";
import { NOT_YET_FLAGS } from "./not-yet.ts";
import { type FlagValues, PROCESS_FLAGS, type ProcessFlag } from "./process-flags.ts";

/** What `pillion run` was told, parsed. */
export interface ProcessConfig extends Omit<FlagValues, "tag"> {
  readonly tags: Readonly<Record<string, string>>;
}

export type ParsedProcessConfig =
  | { readonly ok: true; readonly config: ProcessConfig; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly issues: readonly string[] };

export interface ProcessSources {
  /** By field of `PROCESS_FLAGS` (camelCase, as commander has them); only what was given. */
  readonly flags: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The text of `--config` and its name for messages. */
  readonly file?: { readonly name: string; readonly text: string } | undefined;
}

type FieldName = keyof typeof PROCESS_FLAGS;

/** A text and where it was written. */
interface Given {
  readonly text: string;
  readonly where: string;
  /** Nobody wrote it. */
  readonly isDefault?: boolean;
}

const FIELDS = Object.keys(PROCESS_FLAGS) as readonly FieldName[];

/** The environment's name of a flag: `PILLION_APP_PROTOCOL`. */
export function envNameOf(flag: { readonly name: string }): string {
  return `PILLION_${flag.name.toUpperCase().replaceAll("-", "_")}`;
}

/** The name by which commander hands a flag over: `appProtocol`. */
export function camelNameOf(flag: { readonly name: string }): string {
  return flag.name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Brings the sources together. */
export function parseProcessConfig({ flags, env, file }: ProcessSources): ParsedProcessConfig {
  const issues: string[] = [];
  const fromFile = file === undefined ? new Map<string, Given[]>() : readFlagsFile(file.name, file.text, issues);
  const values: Record<string, unknown> = {};
  const warnings = unknownInEnv(env);
  for (const field of FIELDS) {
    const flag: ProcessFlag<unknown> = PROCESS_FLAGS[field];
    const given = givenFor(flag, flags, env, fromFile);
    const parsed: unknown[] = [];
    for (const { text, where, isDefault = false } of given) {
      const result = flag.parse(text);
      if (result.ok) parsed.push(result.value);
      else issues.push(`${where}: ${flag.isSecret ? "is not valid" : result.problem}`);
      const effect = isDefault ? undefined : NOT_YET_FLAGS[flag.name]?.(text);
      if (effect !== undefined) warnings.push(`${where}: accepted, not acted on yet: ${effect}`);
    }
    values[field] = flag.isRepeatable ? parsed : parsed[0];
  }
  if (issues.length > 0) return { ok: false, issues };
  const { tag, ...rest } = values as unknown as FlagValues;
  const config: ProcessConfig = { ...rest, tags: Object.fromEntries(tag) };
  const misfits = checkTogether(config);
  return misfits.length > 0 ? { ok: false, issues: misfits } : { ok: true, config: Object.freeze(config), warnings };
}

function givenFor(
  flag: ProcessFlag<unknown>,
  flags: ProcessSources["flags"],
  env: ProcessSources["env"],
  fromFile: ReadonlyMap<string, readonly Given[]>,
): readonly Given[] {
  const onLine = flags[camelNameOf(flag)];
  if (onLine !== undefined) return [onLine].flat().map((text) => ({ text, where: `--${flag.name}` }));
  const inEnv = env[envNameOf(flag)];
  if (inEnv !== undefined && inEnv !== "") {
    const texts = flag.isRepeatable ? inEnv.split(",") : [inEnv];
    return texts.map((text) => ({ text: text.trim(), where: envNameOf(flag) }));
  }
  const inFile = fromFile.get(flag.name);
  if (inFile !== undefined) return inFile;
  return flag.default === undefined ? [] : [{ text: flag.default, where: `--${flag.name}`, isDefault: true }];
}

/** Reads `app: 127.0.0.1:8080` lines; lists for repeatable flags. */
function readFlagsFile(fileName: string, text: string, issues: string[]): Map<string, Given[]> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const given = new Map<string, Given[]>();
  const whereOf = (offset: number) => `${fileName}:${placeOf(lines, offset).line}`;
  issues.push(...document.errors.map(({ pos, message }) => `${whereOf(pos[0])}: ${message}`));
  if (document.contents === null || document.errors.length > 0) return given;
  if (!isMap(document.contents)) {
    issues.push(`${fileName}: must hold flags, such as service: users`);
    return given;
  }
  const flagsByName = new Map(FIELDS.map((field) => [PROCESS_FLAGS[field].name, PROCESS_FLAGS[field]]));
  for (const { key, value } of document.contents.items) {
    const name = String(isScalar(key) ? key.value : key);
    const where = whereOf(isScalar(key) ? (key.range?.[0] ?? 0) : 0);
    const flag = flagsByName.get(name);
    if (flag === undefined) {
      const nearest = nearestOf(name, flagsByName.keys());
      issues.push(`${where}: unknown flag ${name}${nearest === undefined ? "" : `, did you mean ${nearest}?`}`);
      continue;
    }
    const elements = isSeq(value) ? value.items : [value];
    if (isSeq(value) && !flag.isRepeatable) issues.push(`${where}: ${name} takes one value, not a list`);
    const texts = elements.map((element) => (isScalar(element) ? element : undefined));
    if (texts.includes(undefined)) issues.push(`${where}: ${name} must be a text`);
    // The text as written: 0x10 or 1e3 would otherwise arrive as another text than the person sees.
    given.set(
      name,
      texts.map((scalar) => ({ text: String(scalar?.source ?? scalar?.value ?? ""), where: `${where} ${name}` })),
    );
  }
  return given;
}

/** A misspelt variable is otherwise never noticed; one that resembles no flag may belong to somebody else. */
function unknownInEnv(env: ProcessSources["env"]): string[] {
  const known = FIELDS.map((field) => envNameOf(PROCESS_FLAGS[field]));
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith("PILLION_") || known.includes(name) || name === "PILLION_CONFIG") return [];
    const nearest = nearestOf(
      name.slice("PILLION_".length),
      known.map((one) => one.slice("PILLION_".length)),
    );
    return nearest === undefined ? [] : [`${name}: no such variable, did you mean PILLION_${nearest}?`];
  });
}

function checkTogether(config: ProcessConfig): string[] {
  const issues: string[] = [];
  if (config.service !== undefined && config.app === undefined) {
    issues.push("--service: needs --app, the address of the app that answers for it");
  }
  if (config.advertise !== undefined && config.service === undefined) issues.push("--advertise: needs --service");
  if (config.instance !== undefined && config.service === undefined) issues.push("--instance: needs --service");
  if ((config.registryCert === undefined) !== (config.registryKey === undefined)) {
    issues.push("--registry-cert and --registry-key: one needs the other");
  }
  if (config.registryPassword !== undefined && config.registryPasswordFile !== undefined) {
    issues.push("--registry-password and --registry-password-file: give one of them");
  }
  return issues;
}
