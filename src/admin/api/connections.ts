// GET /connections[?service=name]: TCP connections that are open, with where they go and what has passed.

import { type Resource, replyJson } from "../http.ts";
import type { AdminView } from "../view.ts";

export function connectionsResource(view: AdminView): Resource {
  return {
    path: "/connections",
    help: "GET [?service=name]: open TCP connections, the latest of each worker, with destination, server name, bytes",
    read: ({ url }) => replyJson({ connections: view.connections(url.searchParams.get("service") ?? undefined) }),
  };
}
