// GET /live and /ready: for kubelet, for `pillion wait`, for people who wonder why it is not ready yet.

import { type Resource, replyJson } from "../http.ts";
import { type AdminView, READINESS_PARTS } from "../view.ts";

/** Live as long as this thread turns: a hung worker is the supervisor's business, not a reason to kill the pod. */
export const liveResource: Resource = {
  path: "/live",
  help: "GET: 200 while the process works",
  read: () => replyJson({ live: true }),
};

export function readyResource(view: AdminView): Resource {
  return {
    path: "/ready",
    help: "GET: 200 when traffic may come, else 503 and what is waited for; ?part=sidecar: without the app; ?part=app",
    read: ({ url }) => {
      const wanted = url.searchParams.get("part") ?? "all";
      const part = READINESS_PARTS.find((each) => each === wanted);
      if (part === undefined) return replyJson({ error: `part is one of ${READINESS_PARTS.join(", ")}` }, 400);
      const { isReady, waitingFor, stale, ports } = view.readiness(part);
      return replyJson({ ready: isReady, waitingFor, stale, ports }, isReady ? 200 : 503);
    },
  };
}
