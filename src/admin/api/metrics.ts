// GET /metrics: the Prometheus exposition, on the admin and on the probe port.

import { type Resource, replyText } from "../http.ts";
import type { AdminView } from "../view.ts";

export function metricsResource(view: AdminView): Resource {
  return {
    path: "/metrics",
    help: "GET: metrics for Prometheus",
    read: async () => {
      const { contentType, text } = await view.formatMetrics();
      return replyText(text, 200, contentType);
    },
  };
}
