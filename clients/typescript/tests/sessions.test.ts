import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { CartSchema } from "../src/gen/mercato/v1/cart_pb.js";
import type { StoredSession } from "../src/node.js";
import { connect, isMercatoError, MemoryStore } from "../src/node.js";
import type { Came, Reply } from "./server.js";
import { refuse, say, Server, tokens } from "./server.js";

const UNAUTHENTICATED = 16;
const running: Server[] = [];
const open: { close(): void }[] = [];
const cart = say(CartSchema, {});

afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  for (const server of running.splice(0)) await server.stop();
});

/** A shop that accepts the tokens of a set, and gives the next one on each refresh. */
class Shop {
  readonly valid = new Set<string>();
  refreshes = 0;
  refresh: () => Reply = () => {
    this.refreshes += 1;
    const next = `token-${this.refreshes}`;
    this.valid.add(next);
    return tokens(next);
  };
  readonly server = new Server((call) => this.#answer(call));

  #answer(call: Came): Reply {
    if (call.path.endsWith("/Refresh")) {
      return this.refresh();
    }
    const token = String(call.headers.authorization).replace("Bearer ", "");
    return this.valid.has(token) ? cart : refuse(UNAUTHENTICATED, "TOKEN_INVALID");
  }

  count(rpc: string): number {
    return this.server.calls.filter((call) => call.path.endsWith(`/${rpc}`)).length;
  }
}

async function started(session: Partial<StoredSession>) {
  const shop = new Shop();
  running.push(shop.server);
  const now = Date.now();
  const stored = { accessToken: "token-0", refreshToken: "r", expiresAt: now + 600_000, refreshAt: now + 540_000, ...session };
  const store = new MemoryStore(stored);
  const client = connect(await shop.server.start(), { session: store });
  open.push(client);
  return { shop, client, store };
}

test("callers at once share one refresh of an expired token", async () => {
  const { shop, client } = await started({ expiresAt: Date.now() - 1, refreshAt: Date.now() - 2 });
  await Promise.all(Array.from({ length: 20 }, () => client.cart.getCart()));
  assert.deepEqual([shop.refreshes, shop.count("GetCart")], [1, 20]);
});

test("a token refused early is replaced once, and the call sent once more", async () => {
  const { shop, client } = await started({});
  await Promise.all(Array.from({ length: 20 }, () => client.cart.getCart()));
  assert.equal(shop.refreshes, 1);
  assert.ok(shop.count("GetCart") <= 40);
});

test("a token that is refused again is an error, not a loop", async () => {
  const { shop, client } = await started({});
  shop.refresh = () => tokens("never-valid");
  await assert.rejects(client.cart.getCart(), (error) => isMercatoError(error) && error.reason === "TOKEN_INVALID");
  assert.deepEqual([shop.count("GetCart"), shop.count("Refresh")], [2, 1]);
});

test("the old token serves while the refresh is down", async () => {
  const { shop, client } = await started({ refreshAt: Date.now() - 1 });
  shop.valid.add("token-0");
  shop.refresh = () => refuse(13, "INTERNAL");
  for (let call = 0; call < 10; call += 1) {
    await client.cart.getCart();
  }
  assert.equal(shop.count("GetCart"), 10);
  assert.equal(shop.count("Refresh"), 1);
});

test("a cancelled caller does not take the refresh with it", async () => {
  const { shop, client, store } = await started({ expiresAt: Date.now() - 1, refreshAt: Date.now() - 2 });
  const gate = withResolvers();
  const give = shop.refresh;
  const controller = new AbortController();
  shop.refresh = () => {
    const reply = give();
    return (stream) => void gate.promise.then(() => reply(stream));
  };
  const cancelled = client.cart.getCart({}, { signal: controller.signal });
  while (shop.count("Refresh") === 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  controller.abort();
  await assert.rejects(cancelled, (error) => isMercatoError(error) && error.code === "CANCELLED" && !error.outcomeUnknown);
  gate.resolve();
  await client.cart.getCart();
  assert.equal(shop.refreshes, 1);
  assert.equal((await store.load())?.accessToken, "token-1");
});

test("the next token is stored before it is used", async () => {
  const { shop, client, store } = await started({ expiresAt: Date.now() - 1, refreshAt: Date.now() - 2 });
  const saved: string[] = [];
  const save = store.save.bind(store);
  store.save = async (session) => {
    assert.equal(shop.count("GetCart"), 0);
    saved.push(session.accessToken);
    await save(session);
  };
  await client.cart.getCart();
  assert.deepEqual(saved, ["token-1"]);
});

test("a spent session is forgotten, and the error says to log in", async () => {
  const { shop, client } = await started({ expiresAt: Date.now() - 1, refreshAt: Date.now() - 2 });
  shop.refresh = () => refuse(UNAUTHENTICATED, "REFRESH_TOKEN_INVALID");
  await assert.rejects(client.cart.getCart(), (error) => isMercatoError(error) && error.reason === "REFRESH_TOKEN_INVALID");
  assert.equal(await client.session(), undefined);
  assert.equal(shop.count("GetCart"), 0);
});

test("two clients of one store exchange a token once", async () => {
  const { shop, client, store } = await started({ expiresAt: Date.now() - 1, refreshAt: Date.now() - 2 });
  const url = `http://${await authority(shop, client)}`;
  shop.refreshes = 0;
  await store.save({ accessToken: "spent", refreshToken: "r", expiresAt: 0, refreshAt: 0 });
  const both = [connect(url, { session: store }), connect(url, { session: store })];
  open.push(...both);
  await Promise.all(both.map((each) => each.cart.getCart()));
  assert.equal(shop.refreshes, 1);
});

test("a clock that is a day off costs one refresh at most", async () => {
  const day = 86_400_000;
  const { shop, client } = await started({ expiresAt: Date.now() - day, refreshAt: Date.now() - day });
  for (let call = 0; call < 5; call += 1) {
    await client.cart.getCart();
  }
  assert.equal(shop.refreshes, 1);
});

test("calls after an hour of sleep share one refresh, and none has the old token", async (context) => {
  const { shop, client } = await started({});
  shop.valid.add("token-0");
  await client.cart.getCart();
  shop.valid.clear();
  shop.server.goAway();
  context.mock.timers.enable({ apis: ["Date"], now: Date.now() + 3_600_000 });
  await Promise.all(Array.from({ length: 20 }, () => client.cart.getCart()));
  await client.cart.getCart();
  assert.deepEqual([shop.refreshes, shop.count("GetCart")], [1, 22]);
  assert.deepEqual(new Set(shop.server.values("authorization").slice(1)), new Set([undefined, "Bearer token-1"]));
});

test("no error has a token in it", async () => {
  const { shop, client } = await started({ accessToken: "secret-token", refreshToken: "secret-refresh" });
  shop.refresh = () => refuse(13, "INTERNAL");
  const error: unknown = await client.cart.getCart().catch((thrown: unknown) => thrown);
  const { inspect } = await import("node:util");
  assert.ok(!/secret/.test(inspect(error, { depth: 20, showHidden: true })));
});

async function authority(shop: Shop, client: { cart: { getCart(): Promise<unknown> } }): Promise<string> {
  await client.cart.getCart();
  return String(shop.server.calls[0]?.headers[":authority"]);
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
