// The open-loop client as a process of its own: reads what to do from its argument, prints what came of it as JSON.

import { type Aim, openH2 } from "./h2.ts";
import { openHttp1 } from "./http1.ts";
import { Schedule } from "./schedule.ts";

export interface Order extends Aim {
  readonly version: "h2" | "http1";
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
}

/** Connections get this long to exchange settings. */
const SETTLE_MS = 100;

const order = JSON.parse(process.argv[2] ?? "") as Order;
const schedule = new Schedule(order.rate, order.seconds);
const open = order.version === "h2" ? openH2 : openHttp1;
const sender = await open(order, schedule.done);
sender.flush();
await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
process.stdout.write(JSON.stringify(await schedule.run(sender)), () => process.exit(0));
