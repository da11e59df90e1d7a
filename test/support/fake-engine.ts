// An engine written in TypeScript behind the engine's own interface, for tests of what surrounds it.
//
// It keeps the seam's rules with asserts: records hold until the next call, a handle is not spoken of after its end,
// bytes are reported as written no more than once. What it does with a connection is the test's: see `behave`.

import { RECORD_BYTES, RECORDS, RECORDS_MAX } from "../../assembly/abi/engine-memory.ts";
import * as R from "../../assembly/abi/engine-records.ts";
import { createEngine, createEngineViews, type Engine, type EngineExports } from "../../src/wasm/index.ts";

export interface FakeConnection {
  readonly handle: number;
  readonly peer: string;
  isOpen: boolean;
  received: Buffer[];
  isEnded: boolean;
  /** Bytes given out by records and not yet reported as written. */
  owed: number;
  writtenBytes: number;
  failure: number | undefined;
}

export interface Behaviour {
  accepted?(connection: FakeConnection, fake: FakeEngine): void;
  received?(connection: FakeConnection, bytes: Buffer, fake: FakeEngine): void;
  ended?(connection: FakeConnection, fake: FakeEngine): void;
  connected?(connection: FakeConnection, fake: FakeEngine): void;
  closed?(connection: FakeConnection, failure: number, fake: FakeEngine): void;
  written?(connection: FakeConnection, fake: FakeEngine): void;
  advanced?(nowUs: number, fake: FakeEngine): void;
}

/** Where writes come from; any place in the memory will do. */
const OUTPUT = 64 * 1024 * 1024;
const OUTPUT_END = 200 * 1024 * 1024;

export class FakeEngine {
  readonly engine: Engine;
  readonly connections = new Map<number, FakeConnection>();
  readonly log: string[] = [];
  deadlineUs = 0;
  isFull = false;
  readonly #records: number[][] = [];
  readonly #behaviour: Behaviour;
  #next = 1;
  #output = OUTPUT;

  constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour;
    const buffer = new ArrayBuffer(256 * 1024 * 1024);
    this.engine = createEngine(this.#exports(), createEngineViews(buffer));
  }

  /** Makes an upstream connection and asks for its socket. */
  connect(slot: number, generation: number, timeoutMs: number): FakeConnection {
    const connection = this.#create("");
    this.record(R.RECORD_CONNECT, connection.handle, slot, generation, timeoutMs);
    return connection;
  }

  record(kind: number, handle: number, a = 0, b = 0, c = 0): void {
    this.#records.push([kind, handle, a, b, c]);
    if (kind === R.RECORD_CLOSE) this.#live(handle).isOpen = false;
  }

  /** Copies bytes to where they may be written from, and asks for it. */
  write(connection: FakeConnection, bytes: Uint8Array): void {
    if (this.#output + bytes.length > OUTPUT_END) this.#output = OUTPUT;
    this.engine.bytes.set(bytes, this.#output);
    connection.owed += bytes.length;
    this.record(R.RECORD_WRITE, connection.handle, this.#output, bytes.length);
    this.#output += bytes.length;
  }

  #create(peer: string): FakeConnection {
    const handle = (1 << 16) | this.#next;
    this.#next += 1;
    const connection = {
      handle,
      peer,
      isOpen: true,
      received: [],
      isEnded: false,
      owed: 0,
      writtenBytes: 0,
      failure: undefined,
    };
    this.connections.set(handle, connection);
    return connection;
  }

  #live(handle: number): FakeConnection {
    const connection = this.connections.get(handle);
    if (connection === undefined || !connection.isOpen) throw new Error(`handle ${handle} is gone`);
    return connection;
  }

  #exports(): EngineExports {
    const behaviour = this.#behaviour;
    return {
      ...quietExports(),
      accept: (kind, service, peerBytes) => {
        if (this.isFull) return -1;
        const peer = Buffer.from(this.engine.text.subarray(0, peerBytes)).toString("latin1");
        const connection = this.#create(peer);
        this.log.push(`accept ${kind} ${service}`);
        behaviour.accepted?.(connection, this);
        return connection.handle;
      },
      receive: (handle, length) => {
        const connection = this.#live(handle);
        const bytes = Buffer.from(this.engine.readBuffer.subarray(0, length));
        connection.received.push(bytes);
        behaviour.received?.(connection, bytes, this);
      },
      ended: (handle) => {
        const connection = this.#live(handle);
        connection.isEnded = true;
        behaviour.ended?.(connection, this);
      },
      closed: (handle, failure) => {
        const connection = this.#live(handle);
        connection.isOpen = false;
        connection.failure = failure;
        behaviour.closed?.(connection, failure, this);
      },
      connected: (handle) => behaviour.connected?.(this.#live(handle), this),
      written: (handle, bytes) => {
        const connection = this.#live(handle);
        if (bytes > connection.owed) throw new Error(`${bytes} bytes reported, ${connection.owed} were given out`);
        connection.owed -= bytes;
        connection.writtenBytes += bytes;
        behaviour.written?.(connection, this);
      },
      poll: () => this.#poll(),

      advance: (nowUs) => {
        this.deadlineUs = 0;
        behaviour.advanced?.(nowUs, this);
      },
      deadline: () => this.deadlineUs,
      exchangeCount: () => 0,
      connectionCount: () => this.connections.size,
    };
  }

  #poll(): number {
    const words = new Uint32Array(this.engine.bytes.buffer as ArrayBuffer, RECORDS, (RECORD_BYTES / 4) * RECORDS_MAX);
    const records = this.#records.splice(0, RECORDS_MAX);
    records.forEach((record, index) => {
      words.set([...record, 0, 0, 0], index * 8);
    });
    return records.length;
  }
}

function quietExports(): EngineExports {
  return {
    start: () => undefined,
    snapshotArea: () => 0,
    loadSnapshot: () => 0,
    accept: () => -1,
    receive: () => undefined,
    ended: () => undefined,
    left: () => undefined,
    closed: () => undefined,
    connected: () => undefined,
    written: () => undefined,
    poll: () => 0,
    more: () => 0,
    advance: () => undefined,
    deadline: () => 0,
    drain: () => undefined,
    drainDownstream: () => undefined,
    shed: () => undefined,
    shedCount: () => 0,
    knowsHost: () => 0,
    unservedCount: () => 0,
    exchangeCount: () => 0,
    connectionCount: () => 0,
    connectionsBy: () => 0,
    glitchCount: () => 0,
    poolUsed: () => 0,
    limitPool: () => {},
    poolSize: () => 1,
    logDropped: () => 0,
    setAccessLog: () => undefined,
    trap: () => {
      throw new Error("unreachable");
    },
  };
}
