// The door of the seam to WebAssembly. Names only, no logic.

export {
  createEngine,
  type Engine,
  type EngineExports,
  instantiateEngine,
  isFull,
  RECORD_WORDS,
  recordAt,
} from "./engine.ts";
export { loadModule, type ModuleName } from "./load.ts";
export { createEngineMemory, createEngineViews, type EngineViews } from "./memory.ts";
