// GET /live and /ready: for kubelet, for `pillion wait`, for people who wonder why it is not ready yet.

import { type Resource, replyJson } from "../http.ts";
import type { AdminView } from "../view.ts";

/** Live as long as this thread turns: a hung worker is the supervisor's business, not a reason to kill the pod. */
export const liveResource: Resource = {
  path: "/live",
  help: "GET: 200 while the process works",
  read: () => replyJson({ live: true }),
};

export function readyResource(view: AdminView): Resource {
  return {
    path: "/ready",
    help: "GET: 200 when traffic may come, else 503 and what is waited for",
    read: () => {
      const { isReady, waitingFor, ports } = view.readiness();
      return replyJson({ ready: isReady, waitingFor, ports }, isReady ? 200 : 503);
    },
  };
}
