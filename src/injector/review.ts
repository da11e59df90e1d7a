// One admission review: what the API server asks about a pod → what it is told (admission.k8s.io/v1).
//
// Pure. A review that is none is the caller's mistake and has no answer but 400. A pod that is not injected is let in
// without a sidecar where that was meant (skipped), and refused with the reason where it was not: a pod that silently
// lacks its sidecar would be found out by whoever calls it.

import { z } from "zod";
import { injectPod } from "./inject-pod.ts";
import { comparePatch } from "./json-patch.ts";
import type { InjectOptions } from "./options.ts";

const reviewSchema = z.looseObject({
  apiVersion: z.literal("admission.k8s.io/v1"),
  kind: z.literal("AdmissionReview"),
  request: z.looseObject({
    uid: z.string().min(1),
    kind: z.looseObject({ group: z.string(), kind: z.string() }).optional(),
    operation: z.string().optional(),
    namespace: z.string().optional(),
    object: z.unknown(),
  }),
});

export type ReviewOutcome = "injected" | "unchanged" | "skipped" | "refused" | "other";

export type Reviewed =
  | { readonly ok: true; readonly response: unknown; readonly outcome: ReviewOutcome; readonly summary: string }
  | { readonly ok: false; readonly problem: string };

/** The API server shows warnings of at most so many characters in all. */
const WARNING_CHARS_MAX = 120;

/** Answers a review given as text. */
export function answerReview(text: string, options: InjectOptions): Reviewed {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ok: false, problem: `not JSON: ${error instanceof Error ? error.message : error}` };
  }
  const parsed = reviewSchema.safeParse(value);
  if (!parsed.success) {
    const problem = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
    return { ok: false, problem: `not an AdmissionReview of admission.k8s.io/v1: ${problem}` };
  }
  const { uid, kind, object, namespace } = parsed.data.request;
  const answer = (outcome: ReviewOutcome, summary: string, response: Record<string, unknown>): Reviewed => ({
    ok: true,
    outcome,
    summary: `${namespace ?? ""}/${nameOf(object)}: ${summary}`,
    response: { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: { uid, ...response } },
  });
  // The webhook's rules ask for pods; whatever else a wider rule brings is none of our business.
  if (kind !== undefined && (kind.group !== "" || kind.kind !== "Pod"))
    return answer("other", "no pod", { allowed: true });
  const injection = injectPod(object, ownerOf(object), options);
  const { outcome } = injection;
  const warnings = [...injection.warnings, ...injection.unknown].map((each) =>
    `pillion: ${each}`.slice(0, WARNING_CHARS_MAX),
  );
  const warned = warnings.length === 0 ? {} : { warnings };
  switch (outcome.kind) {
    case "injected": {
      const patch = Buffer.from(JSON.stringify(comparePatch(object, outcome.pod))).toString("base64");
      return answer("injected", outcome.summary, { allowed: true, patchType: "JSONPatch", patch, ...warned });
    }
    case "unchanged":
      return answer("unchanged", outcome.summary, { allowed: true, ...warned });
    case "skipped":
      return answer("skipped", outcome.reason, { allowed: true, ...warned });
    case "refused": {
      const message = `pillion: ${outcome.problems.join("; ")}`;
      return answer("refused", message, {
        allowed: false,
        status: { code: 422, reason: "Invalid", message },
        ...warned,
      });
    }
  }
}

interface LooseObject {
  readonly metadata?: {
    readonly name?: unknown;
    readonly generateName?: unknown;
    readonly ownerReferences?: readonly { readonly kind?: unknown; readonly name?: unknown }[];
  };
}

/** A pod that a controller makes has no name of its own yet. */
function nameOf(object: unknown): string {
  const { name, generateName } = (object as LooseObject | undefined)?.metadata ?? {};
  return `${name ?? generateName ?? "(a pod)"}`;
}

function ownerOf(object: unknown) {
  const references = (object as LooseObject | undefined)?.metadata?.ownerReferences;
  const owner = Array.isArray(references) ? references[0] : undefined;
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  return { kind: text(owner?.kind) ?? "Pod", name: text(owner?.name) };
}
