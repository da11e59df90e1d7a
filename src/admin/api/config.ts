// GET /config: flags in force and documents as composed, defaults filled in.

import { type Resource, replyJson } from "../http.ts";
import type { AdminView } from "../view.ts";

export function configResource(view: AdminView): Resource {
  return {
    path: "/config",
    help: "GET: flags in force and the mesh's documents with defaults filled in",
    read: () => replyJson(view.config()),
  };
}
