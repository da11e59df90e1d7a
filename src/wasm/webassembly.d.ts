// The part of the WebAssembly API that Pillion uses. TypeScript has it only in its DOM library, whose other globals
// (window, document, …) must not look available here.

declare namespace WebAssembly {
  interface MemoryDescriptor {
    initial: number;
    maximum?: number;
    shared?: boolean;
  }
  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer | SharedArrayBuffer;
  }
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
    static exports(module: Module): { name: string; kind: string }[];
    static imports(module: Module): { module: string; name: string; kind: string }[];
  }
  class Global {
    value: number;
  }
  class RuntimeError extends Error {}
  type ExportValue = Memory | Global | ((...values: never[]) => unknown);
  type Exports = Record<string, ExportValue>;
  type Imports = Record<string, Record<string, ExportValue>>;
  class Instance {
    constructor(module: Module, imports?: Imports);
    readonly exports: Exports;
  }
  function compile(bytes: Uint8Array<ArrayBuffer>): Promise<Module>;
  function instantiate(module: Module, imports?: Imports): Promise<Instance>;
}
