// GET and POST /log-level: the level of the log, changed while running.

import { LOG_LEVELS, type LogLevel, nearestOf } from "../../base/index.ts";
import { type Resource, replyJson } from "../http.ts";
import type { AdminView } from "../view.ts";

/** The level comes as `?level=debug` or as the body, bare or as JSON. */
export function logLevelResource(view: AdminView): Resource {
  return {
    path: "/log-level",
    help: "GET: the log level; POST ?level=debug: change it",
    read: () => replyJson({ level: view.logLevel }),
    change: ({ url, body }) => {
      const wanted = url.searchParams.get("level") ?? levelIn(body);
      const level = LOG_LEVELS.find((known) => known === wanted);
      if (level === undefined) return refuse(wanted);
      view.logLevel = level;
      return replyJson({ level: view.logLevel });
    },
  };
}

function levelIn(body: string): string {
  const match = /^\s*\{\s*"level"\s*:\s*"(\w+)"\s*\}\s*$/.exec(body);
  return match?.[1] ?? body.trim();
}

function refuse(wanted: string) {
  const nearest: string | undefined = nearestOf(wanted, LOG_LEVELS satisfies readonly LogLevel[]);
  const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  return replyJson({ error: `level must be one of ${LOG_LEVELS.join(", ")}${hint}` }, 400);
}
