// The door of the admin and probe servers. Names only, no logic.

export type { ExplainListen, HttpServer } from "./http.ts";
export { startAdmin, startProbe } from "./server.ts";
export type { AdminView, ConnectionView, InstanceView, Readiness, ReadinessPart, ServiceView } from "./view.ts";
