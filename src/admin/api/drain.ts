// POST /drain: what SIGTERM does, for preStop hooks and rolling restarts by hand.

import { type Resource, replyJson } from "../http.ts";
import type { AdminView } from "../view.ts";

export function drainResource(view: AdminView): Resource {
  return {
    path: "/drain",
    help: "POST: stop taking new requests, finish those in flight, exit",
    change: () => replyJson({ draining: true, started: view.drain() }, 202),
  };
}
