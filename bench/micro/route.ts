// What routing costs: one match among 10, 1,000 and 10,000 rules, by shape of the rules. The request matches the last.

import { compileMesh, RouteEngine, type RouteExports } from "../../test/support/route-engine.ts";
import { instantiateTestingModule } from "../../test/support/wasm.ts";
import { type Row, timeLoop } from "./clock.ts";
import { buildModule } from "./modules.ts";

const SERVICES = 100;

interface Loops extends RouteExports {
  matchRepeatedly(head: number, times: number): number;
}

const SHAPES = ["prefix", "exact", "regex", "hosts"] as const;
type Shape = (typeof SHAPES)[number];

/** Rules of one shape, over a hundred services. */
function writeRoutes(shape: Shape, count: number) {
  const numbers = Array.from({ length: count }, (_, index) => index);
  const to = (index: number) => [{ service: `s${index % SERVICES}` }];
  if (shape === "hosts") {
    const routeOf = (index: number) => ({ hosts: [`h${index}.example.com`], rules: [{ to: to(index) }] });
    return { routes: Object.fromEntries(numbers.map((index) => [`r${index}`, routeOf(index)])) };
  }
  const paths = {
    prefix: (index: number) => ({ prefix: `/api/v1/resource${index}` }),
    exact: (index: number) => ({ exact: `/api/v1/resource${index}/7` }),
    regex: (index: number) => ({ regex: `/api/v1/resource${index}/[0-9]+(/.*)?` }),
  };
  const rules = numbers.map((index) => ({ match: { path: paths[shape](index) }, to: to(index) }));
  return { routes: { r: { hosts: ["api.example.com"], rules } } };
}

/** Each shape with three numbers of rules. */
export function* measureRoutes(): Generator<Row> {
  const module = buildModule("route");
  for (const shape of SHAPES) {
    for (const count of [10, 1_000, 10_000]) {
      const { bytes } = compileMesh(writeRoutes(shape, count));
      const instance = instantiateTestingModule<Loops>(module);
      const engine = new RouteEngine(instance);
      if (engine.load(bytes) !== 0) throw new Error("the engine refused the snapshot");
      const host = shape === "hosts" ? `h${count - 1}.example.com` : "api.example.com";
      const request = { authority: `${host}:15001`, path: `/api/v1/resource${count - 1}/7?q=1` };
      if (engine.match(request).reason !== 0) throw new Error("the request has no route");
      const head = engine.writeHead(request);
      yield timeLoop("route match", `${shape}, ${count} rules`, (times) => {
        instance.exports.matchRepeatedly(head, times);
      });
    }
  }
}
