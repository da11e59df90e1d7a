// GET /services: every service of the snapshot with its sums.

import { type Resource, replyJson } from "../http.ts";
import type { AdminView } from "../view.ts";

export function servicesResource(view: AdminView): Resource {
  return {
    path: "/services",
    help: "GET: services with policy, instances, requests, errors, in flight",
    read: () => replyJson({ services: view.services() }),
  };
}
