// GET /instances[?service=name]: every instance with its counts and percentiles.

import { type Resource, replyJson } from "../http.ts";
import type { AdminView } from "../view.ts";

export function instancesResource(view: AdminView): Resource {
  return {
    path: "/instances",
    help: "GET [?service=name]: instances with state, requests, errors, in flight, p50Us, p99Us",
    read: ({ url }) => replyJson({ instances: view.instances(url.searchParams.get("service") ?? undefined) }),
  };
}
