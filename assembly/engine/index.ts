// The exports of engine.wasm, nothing else.

import { createPool } from "../core/pool.ts";

export { createPool };
