// One contract, two registries: the promises of src/discovery/registry.ts, held by a file and by a real etcd.

import { describe, expect, test } from "vitest";
import { ABSENT, type RegistryEvent } from "../../src/discovery/index.ts";
import { requireProgram } from "../support/programs.ts";
import {
  createEtcdWorld,
  createFileWorld,
  idsOf,
  instance,
  mesh,
  nextEvent,
  pictureWhere,
  type RegistryWorld,
  route,
  routeTo,
  service,
} from "../support/registries.ts";

interface Context {
  skip(note?: string): never;
}

const WORLDS: readonly { kind: string; create: (context: Context) => Promise<RegistryWorld> }[] = [
  { kind: "file", create: () => createFileWorld() },
  { kind: "etcd", create: (context) => createEtcdWorld(requireProgram(context, "etcd")) },
];

const at = (port: number) => ({ address: `127.0.0.1:${port}` });

describe.each(WORLDS)("a registry in $kind", ({ create }) => {
  test("the first picture holds everything that is there", async (context) => {
    await using world = await create(context);
    await world.write(
      [mesh, { defaults: { timeout: { connect: "3s" } } }],
      [service("users"), { protocol: "grpc" }],
      [instance("users", "a"), { ...at(1), tags: { version: "v1" } }],
      [instance("users", "b"), at(2)],
      [route("api"), routeTo("users")],
    );
    const registry = world.open();
    expect(registry.picture).toBeUndefined();
    expect(registry.connected).toBe(false);
    await registry.start();
    await registry.want("users");
    const { documents, revision, warnings } = registry.picture!;
    expect(revision).toBeGreaterThan(0);
    expect(warnings).toEqual([]);
    expect(documents.services.get("users")).toMatchObject({
      protocol: "grpc",
      policy: { timeout: { connectMs: 3000 } },
    });
    expect(documents.routes.get("api")?.hosts).toEqual(["users.example"]);
    expect(idsOf(registry.picture, "users")).toEqual(["a", "b"]);
    await expect.poll(() => registry.connected).toBe(true);
  });

  test("changes and deletions are seen; documents of other kinds stay as they were", async (context) => {
    await using world = await create(context);
    await world.write([service("users"), {}], [instance("users", "a"), at(1)], [route("api"), routeTo("users")]);
    const registry = world.open();
    await registry.start();
    await world.write([instance("users", "b"), at(2)]);
    await pictureWhere(registry, (picture) => idsOf(picture, "users").length === 2);
    await world.write([instance("users", "a"), { ...at(9), weight: 0 }]);
    await pictureWhere(registry, ({ documents }) => documents.instances.get("users")?.get("a")?.weight === 0);
    await world.write([instance("users", "a"), undefined]);
    const third = await pictureWhere(registry, (picture) => idsOf(picture, "users").length === 1);
    expect(third.documents.routes.get("api")?.rules[0]?.to[0]?.service).toBe("users");
    await world.write([route("api"), undefined], [service("users"), undefined], [instance("users", "b"), undefined]);
    const last = await pictureWhere(registry, ({ documents }) => documents.routes.size === 0);
    expect([last.documents.services.size, last.documents.instances.size]).toEqual([0, 0]);
  });

  test("what is written together is seen together, every time", async (context) => {
    await using world = await create(context);
    const writeGeneration = (generation: number) =>
      world.write(
        [service("a"), { timeout: { connect: `${generation}s` } }],
        [service("b"), { timeout: { connect: `${generation}s` } }],
        [instance("a", "i"), { ...at(generation), weight: generation }],
        [instance("b", "i"), { ...at(generation), weight: generation }],
        [
          route("r"),
          {
            rules: [
              {
                to: [
                  { service: "a", weight: generation },
                  { service: "b", weight: generation },
                ],
              },
            ],
          },
        ],
      );
    await writeGeneration(1);
    const registry = world.open();
    const torn: number[][] = [];
    registry.subscribe((event) => {
      if (event.kind !== "picture") return;
      const { services, instances, routes } = event.picture.documents;
      const seen = [
        ...["a", "b"].map((name) => (services.get(name)?.policy.timeout.connectMs ?? -1000) / 1000),
        ...["a", "b"].map((name) => instances.get(name)?.get("i")?.weight ?? -1),
        routes.get("r")?.rules[0]?.to[1]?.weight ?? -1,
      ];
      if (new Set(seen).size !== 1) torn.push(seen);
    });
    await registry.start();
    for (let generation = 2; generation <= 40; generation += 1) {
      await writeGeneration(generation);
      // Half of them one at a time, half as fast as they go.
      if (generation % 2 === 0) {
        await pictureWhere(registry, ({ documents }) => documents.instances.get("a")?.get("i")?.weight === generation);
      }
    }
    await pictureWhere(registry, ({ documents }) => documents.instances.get("b")?.get("i")?.weight === 40);
    expect(torn).toEqual([]);
  });

  test("a route to a new service comes with those who answer", async (context) => {
    await using world = await create(context);
    await world.write([service("users"), {}], [route("api"), routeTo("users")]);
    const registry = world.open();
    await registry.start();
    const seen: string[][] = [];
    registry.subscribe((event) => {
      if (event.kind !== "picture" || !event.picture.documents.routes.has("orders")) return;
      seen.push(idsOf(event.picture, "orders"));
    });
    await world.write([service("orders"), {}], [instance("orders", "a"), at(1)], [route("orders"), routeTo("orders")]);
    await pictureWhere(registry, ({ documents }) => documents.routes.has("orders"));
    expect(seen[0]).toEqual(["a"]);
  });

  test("a broken document leaves the last good one in force, says so, and is mended by the next", async (context) => {
    await using world = await create(context);
    await world.write([service("users"), { timeout: { connect: "2s" } }], [instance("users", "a"), at(1)]);
    const registry = world.open();
    await registry.start();
    await registry.want("users");
    const rejected = nextEvent(registry, "rejected");
    await world.write([service("users"), { timeout: { connect: "soon" } }]);
    const { issues } = await rejected;
    expect(issues).toMatchObject([
      { path: expect.stringMatching(/timeout\.connect$/), message: expect.stringContaining("soon") },
    ]);
    expect(issues[0]?.where).toMatch(/mesh\.yaml:\d+:\d+$|^\/pillion\/services\/users$/);
    expect(registry.picture?.documents.services.get("users")?.policy.timeout.connectMs).toBe(2000);
    expect(idsOf(registry.picture, "users")).toEqual(["a"]);
    await world.write([service("users"), { timeout: { connect: "4s" } }]);
    const mended = await pictureWhere(
      registry,
      ({ documents }) => documents.services.get("users")?.policy.timeout.connectMs === 4000,
    );
    expect(mended.warnings).toEqual([]);
  });

  test("what is not acted on yet is a warning of the picture", async (context) => {
    await using world = await create(context);
    const rules = [{ to: [{ service: "users" }], limits: { requests: 5 } }];
    await world.write([service("users"), {}], [route("api"), { hosts: ["api"], rules }]);
    const registry = world.open();
    await registry.start();
    expect(registry.picture?.warnings).toMatchObject([
      { message: expect.stringContaining("accepted, not acted on yet") },
    ]);
  });

  test("commands read, write and delete without a start", async (context) => {
    await using world = await create(context);
    const registry = world.open();
    await registry.apply([
      { id: service("users"), value: { protocol: "grpc" }, expectedRevision: ABSENT },
      { id: instance("users", "a"), value: at(1) },
      { id: route("api"), value: routeTo("users") },
    ]);
    expect((await registry.list()).map(({ id }) => id)).toEqual([
      instance("users", "a"),
      route("api"),
      service("users"),
    ]);
    expect(await registry.list("route")).toMatchObject([{ value: routeTo("users"), isLeased: false }]);
    const stored = await registry.read(service("users"));
    expect(stored).toMatchObject({ id: service("users"), value: { protocol: "grpc" } });
    expect(await registry.read(service("nobody"))).toBeUndefined();
    expect(await registry.remove([route("api"), route("nobody")])).toBe(1);
    expect(await registry.read(route("api"))).toBeUndefined();
  });

  test("a guarded change fails as a whole when somebody was faster", async (context) => {
    await using world = await create(context);
    await world.write([service("users"), {}]);
    const registry = world.open();
    const { revision } = (await registry.read(service("users")))!;
    await world.write([service("users"), { protocol: "grpc" }]);
    const changes = [
      { id: service("orders"), value: {} },
      { id: service("users"), value: { protocol: "tcp" }, expectedRevision: revision },
    ];
    await expect(registry.apply(changes)).rejects.toMatchObject({
      code: "PILLION_REGISTRY_CONFLICT",
      message: expect.stringContaining("users"),
    });
    expect((await registry.list("service")).map(({ value }) => value)).toEqual([{ protocol: "grpc" }]);
    const again = (await registry.read(service("users")))!;
    await registry.apply([{ ...changes[1]!, expectedRevision: again.revision }, changes[0]!]);
    expect((await registry.list("service")).length).toBe(2);
    const taken = [{ id: service("users"), value: {}, expectedRevision: ABSENT }];
    await expect(registry.apply(taken)).rejects.toMatchObject({ code: "PILLION_REGISTRY_CONFLICT" });
  });

  test("an apply is seen by a registry that watches", async (context) => {
    await using world = await create(context);
    const [watching, writing] = [world.open(), world.open()];
    await watching.start();
    await writing.apply([
      { id: service("users"), value: {} },
      { id: instance("users", "a"), value: at(1) },
    ]);
    await watching.want("users");
    await pictureWhere(watching, (picture) => idsOf(picture, "users").length === 1);
  });

  test("after stop nothing is heard, and a start that never succeeded ends", async (context) => {
    await using world = await create(context);
    const registry = world.open();
    await registry.start();
    await registry.stop();
    const heard: RegistryEvent[] = [];
    registry.subscribe((event) => heard.push(event));
    await world.write([service("users"), {}]);
    const other = world.open();
    await other.start();
    await pictureWhere(other, ({ documents }) => documents.services.has("users"));
    expect(heard).toEqual([]);
    expect(registry.connected).toBe(false);
    await registry.stop();
  });

  test("a listener that fails keeps nobody else from hearing; one that left hears nothing", async (context) => {
    await using world = await create(context);
    const registry = world.open();
    const heard: string[] = [];
    registry.subscribe(() => {
      throw new TypeError("a listener's own mistake");
    });
    const leave = registry.subscribe((event) => heard.push(event.kind));
    await registry.start();
    expect(heard).toContain("picture");
    leave();
    const before = heard.length;
    await world.write([service("users"), {}]);
    await pictureWhere(registry, ({ documents }) => documents.services.has("users"));
    expect(heard.length).toBe(before);
  });
});
