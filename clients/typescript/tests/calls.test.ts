import assert from "node:assert/strict";
import { createServer } from "node:net";
import { once } from "node:events";
import { createServer as createSecureServer } from "node:tls";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { CartSchema } from "../src/gen/mercato/v1/cart_pb.js";
import { ProductSchema } from "../src/gen/mercato/v1/catalog_pb.js";
import { LogoutResponseSchema } from "../src/gen/mercato/v1/auth_pb.js";
import { PictureUploadSchema, UploadPictureContentRequestSchema } from "../src/gen/mercato/v1/media_pb.js";
import type { MercatoError } from "../src/node.js";
import { connect, isMercatoError } from "../src/node.js";
import type { Came, Reply } from "./server.js";
import { frame } from "../src/wire.js";
import { hangUp, ignore, refuse, refuseStream, say, Server } from "./server.js";

const running: { stop(): Promise<void> }[] = [];
const open: { close(): void }[] = [];
const cart = say(CartSchema, {});
const product = say(ProductSchema, { name: "Ball" });
const UNAVAILABLE = 14;

afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  for (const server of running.splice(0)) await server.stop();
});

async function shopOf(...replies: Reply[]) {
  return shopWith((_, number) => replies[Math.min(number, replies.length - 1)] as Reply);
}

async function shopWith(answer: (call: Came, number: number) => Reply) {
  const server = new Server(answer);
  running.push(server);
  const shop = connect(await server.start(), { token: "a-token" });
  open.push(shop);
  return { server, shop };
}

async function errorOf(promise: Promise<unknown>): Promise<MercatoError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(isMercatoError(error), String(error));
    return error;
  }
  return assert.fail("it did not fail");
}

test("a keyed call is repeated with one and the same key", async () => {
  const { server, shop } = await shopOf(hangUp, refuse(UNAVAILABLE, "DATABASE_UNAVAILABLE", { "grpc-retry-pushback-ms": "1" }), cart);
  await shop.cart.addCartItem({ productId: "p", quantity: 1 });
  const keys = server.values("idempotency-key");
  assert.equal(keys.length, 3);
  assert.match(String(keys[0]), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(new Set(keys).size, 1);
  await shop.cart.addCartItem({ productId: "p", quantity: 1 });
  assert.equal(new Set(server.values("idempotency-key")).size, 2);
});

test("a caller's own key is never replaced", async () => {
  const { server, shop } = await shopOf(hangUp, cart);
  await shop.cart.addCartItem({ productId: "p", quantity: 1 }, { idempotencyKey: "mine" });
  assert.deepEqual(server.values("idempotency-key"), ["mine", "mine"]);
});

test("a call that honours no key is sent once, and its outcome is unknown", async () => {
  const { server, shop } = await shopOf(hangUp);
  const error = await errorOf(shop.auth.createGuest());
  assert.deepEqual([error.code, error.outcomeUnknown, error.idempotencyKey, error.attempts], ["UNAVAILABLE", true, "", 1]);
  assert.equal(server.calls.length, 1);
});

test("a refused stream counts as unavailable, and any call is sent again", async () => {
  const { server, shop } = await shopOf(cart, refuseStream, refuseStream, say(LogoutResponseSchema, {}));
  await shop.cart.getCart();
  await shop.logout();
  assert.equal(server.calls.length, 4);
});

test("five attempts are made and no more, and an unknown outcome carries its key", async () => {
  const { server, shop } = await shopOf(product, hangUp);
  await shop.catalog.getProduct({ productId: "p" });
  const error = await errorOf(shop.orders.checkout({}, { idempotencyKey: "of-mine", timeoutMs: 30_000 }));
  assert.equal(server.calls.length, 6);
  assert.deepEqual([error.reason, error.code, error.outcomeUnknown, error.idempotencyKey, error.attempts], [null, "UNAVAILABLE", true, "of-mine", 5]);
});

test("a pushback of -1 forbids the retry, and another one sets its time", async () => {
  const { server, shop } = await shopOf(
    refuse(UNAVAILABLE, "DATABASE_UNAVAILABLE", { "grpc-retry-pushback-ms": "-1" }),
    refuse(UNAVAILABLE, "DATABASE_UNAVAILABLE", { "grpc-retry-pushback-ms": "700" }),
    product,
  );
  const error = await errorOf(shop.catalog.getProduct({ productId: "p" }));
  assert.deepEqual([error.reason, error.attempts, error.outcomeUnknown], ["DATABASE_UNAVAILABLE", 1, false]);
  const began = performance.now();
  await shop.catalog.getProduct({ productId: "p" });
  assert.ok(performance.now() - began >= 700);
  assert.equal(server.calls.length, 3);
});

test("a retry that could not come in time is not waited for", async () => {
  const { shop } = await shopOf(refuse(UNAVAILABLE, "DATABASE_UNAVAILABLE", { "grpc-retry-pushback-ms": "60000" }));
  const error = await errorOf(shop.catalog.getProduct({ productId: "p" }, { timeoutMs: 20_000 }));
  assert.equal(error.reason, "DATABASE_UNAVAILABLE");
});

test("retries stop when most calls fail", async () => {
  const { server, shop } = await shopOf(refuse(UNAVAILABLE, "DATABASE_UNAVAILABLE", { "grpc-retry-pushback-ms": "0" }));
  for (let call = 0; call < 60; call += 1) {
    await errorOf(shop.catalog.getProduct({ productId: "p" }));
  }
  // Of 100 tokens a failure takes one. After 50 failures, those of 10 calls with 4 retries each, there are no more retries.
  assert.equal(server.calls.length, 10 * 5 + 50);
});

test("the deadline covers all attempts, and goes with each", async () => {
  const { server, shop } = await shopOf(refuse(UNAVAILABLE, "DATABASE_UNAVAILABLE", { "grpc-retry-pushback-ms": "200" }), ignore);
  const began = performance.now();
  const error = await errorOf(shop.catalog.getProduct({ productId: "p" }, { timeoutMs: 600 }));
  const took = performance.now() - began;
  assert.deepEqual([error.code, error.reason, error.outcomeUnknown], ["DEADLINE_EXCEEDED", null, false]);
  assert.match(error.message, /DATABASE_UNAVAILABLE/);
  assert.ok(took >= 599 && took < 5000, String(took));
  const [first, second] = server.values("grpc-timeout").map((text) => Number(text?.replace("m", "")));
  assert.ok(Number(first) <= 600 && Number(second) <= 400);
});

test("a caller may give up, and is told what it knows of the outcome", async () => {
  const controller = new AbortController();
  const { shop } = await shopWith(() => (controller.abort(), ignore));
  const error = await errorOf(shop.orders.checkout({}, { signal: controller.signal }));
  assert.deepEqual([error.code, error.outcomeUnknown, error.idempotencyKey.length], ["CANCELLED", true, 36]);
});

test("a refusal after a lost answer settles the outcome of a keyed call", async () => {
  const { shop } = await shopOf(product, hangUp, refuse(9, "OUT_OF_STOCK"));
  await shop.catalog.getProduct({ productId: "p" });
  const error = await errorOf(shop.orders.checkout());
  assert.deepEqual([error.reason, error.outcomeUnknown, error.attempts], ["OUT_OF_STOCK", false, 2]);
  assert.ok(error.reason === "OUT_OF_STOCK" && error.detail.lines.length === 0);
});

test("the server's word that a call may have been carried out is passed on", async () => {
  const { shop } = await shopOf(refuse(4, "DEADLINE_EXCEEDED"));
  const error = await errorOf(shop.orders.checkout());
  assert.deepEqual([error.reason, error.outcomeUnknown], ["DEADLINE_EXCEEDED", true]);
});

test("an idle client survives a GOAWAY, without an error and with one connection", async () => {
  const { server, shop } = await shopOf(product);
  for (let round = 0; round < 3; round += 1) {
    await shop.catalog.getProduct({ productId: "p" });
    assert.equal(server.sessions, 1);
    server.goAway();
    await soon(() => server.sessions === 0);
  }
  assert.equal(server.calls.length, 3);
});

test("a client that was connected waits for a server that restarts", async () => {
  const { server, shop } = await shopOf(product);
  const address = await firstAddress(shop, server);
  await server.stop();
  running.splice(0);
  const waiting = shop.catalog.getProduct({ productId: "p" }, { timeoutMs: 30_000 });
  const next = new Server(() => product);
  running.push(next);
  setTimeout(() => next.start(address), 300);
  assert.equal((await waiting).name, "Ball");
});

test("a wrong address is named within a second, and nothing was sent", async () => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address() as AddressInfo;
  closed.close();
  for (const url of [`http://127.0.0.1:${port}`, "http://shop.invalid"]) {
    const shop = connect(url);
    open.push(shop);
    const began = performance.now();
    const error = await errorOf(shop.orders.checkout());
    assert.deepEqual([error.reason, error.outcomeUnknown, error.attempts], ["CONNECTION_FAILED", false, 0]);
    assert.ok(error.message.includes(url), error.message);
    assert.ok(performance.now() - began < 1000 || url.includes("invalid"));
  }
});

test("TLS against a plaintext server fails at once", async () => {
  const { server, shop } = await shopOf(product);
  const url = await firstAddressUrl(shop, server);
  const secure = connect(url.replace("http:", "https:"));
  open.push(secure);
  const error = await errorOf(secure.catalog.getProduct({ productId: "p" }));
  assert.equal(error.reason, "CONNECTION_FAILED");
});

test("a plaintext client of a server with TLS fails at once", async () => {
  const secure = createSecureServer().listen(0, "127.0.0.1");
  await once(secure, "listening");
  const shop = connect(`http://127.0.0.1:${(secure.address() as AddressInfo).port}`);
  const began = performance.now();
  const error = await errorOf(shop.orders.checkout());
  secure.close();
  assert.deepEqual([error.reason, error.outcomeUnknown], ["CONNECTION_FAILED", false]);
  assert.ok(performance.now() - began < 1000);
});

test("a closed client says so", async () => {
  const { shop } = await shopOf(product);
  shop.close();
  const error = await errorOf(shop.catalog.getProduct({ productId: "p" }));
  assert.equal(error.reason, "CLIENT_CLOSED");
});

test("a server that speaks no gRPC is named", async () => {
  const html: Reply = (stream) => {
    stream.respond({ ":status": 404, "content-type": "text/html" });
    stream.end("<p>Not here</p>");
  };
  const { shop } = await shopOf(html);
  const error = await errorOf(shop.catalog.getProduct({ productId: "p" }));
  assert.equal(error.code, "UNIMPLEMENTED");
  assert.match(error.message, /answered HTTP 404 with text\/html, which is not gRPC/);
});

test("the answer's id and replay are there when asked for", async () => {
  const { shop } = await shopOf(say(CartSchema, { etag: "3" }, { "x-request-id": "r-1", "idempotent-replayed": "true" }));
  const answer = await shop.withResponse.cart.addCartItem({ productId: "p", quantity: 1 });
  assert.deepEqual([answer.message.etag, answer.requestId, answer.replayed], ["3", "r-1", true]);
});

test("an etag goes as a condition", async () => {
  const { server, shop } = await shopOf(product);
  await shop.catalog.updateProduct({ product: { id: "p" } }, { etag: "1.0" });
  assert.deepEqual(server.values("if-match"), ['"1.0"']);
});

test("a body in pieces is one message after the other, and is sent once", async () => {
  const { server, shop } = await shopOf(say(PictureUploadSchema, { id: "u" }), hangUp);
  const pieces = [{ uploadId: "u" }, { content: { data: Uint8Array.of(1, 2) } }, { content: { data: Uint8Array.of(3) } }];
  async function* slowly() {
    yield* pieces;
  }
  assert.equal((await shop.media.uploadPictureContent(slowly())).id, "u");
  const sent = server.calls[0]?.body ?? new Uint8Array();
  assert.deepEqual(sent, frame(pieces.map((piece) => toBinary(UploadPictureContentRequestSchema, create(UploadPictureContentRequestSchema, piece)))));
  const error = await errorOf(shop.media.uploadPictureContent(pieces));
  assert.deepEqual([error.code, error.outcomeUnknown, error.attempts, server.calls.length], ["UNAVAILABLE", true, 1, 2]);
});

test("the deadline ends a body that does not", async () => {
  const { server, shop } = await shopOf(cart);
  async function* hanging() {
    yield { uploadId: "u" };
    await new Promise(() => undefined);
  }
  function* endless() {
    for (;;) yield {};
  }
  const controller = new AbortController();
  const given = shop.media.uploadPictureContent(hanging(), { signal: controller.signal, timeoutMs: 60_000 });
  controller.abort();
  for (const [sending, code] of [[given, "CANCELLED"], [shop.media.uploadPictureContent(endless(), { timeoutMs: 50 }), "DEADLINE_EXCEEDED"]] as const) {
    const error = await errorOf(sending);
    assert.deepEqual([error.code, error.outcomeUnknown, error.attempts], [code, false, 0]);
  }
  assert.equal(server.calls.length, 0);
});

test("an error of a body's source reaches the caller, and the source is closed", async () => {
  const { server, shop } = await shopOf(cart);
  let closed = 0;
  async function* failing() {
    try {
      yield { uploadId: "u" };
      yield { content: "no bytes" as never };
    } finally {
      closed += 1;
    }
  }
  await assert.rejects(shop.media.uploadPictureContent(failing()));
  assert.deepEqual([closed, server.calls.length], [1, 0]);
});

async function soon(condition: () => boolean): Promise<void> {
  const until = performance.now() + 60_000;
  while (!condition()) {
    assert.ok(performance.now() < until, "it never came true");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

type AnyShop = Awaited<ReturnType<typeof shopOf>>["shop"];

async function firstAddressUrl(shop: AnyShop, server: Server): Promise<string> {
  await shop.catalog.getProduct({ productId: "p" });
  return `http://${String(server.calls[0]?.headers[":authority"])}`;
}

async function firstAddress(shop: AnyShop, server: Server): Promise<number> {
  return Number(new URL(await firstAddressUrl(shop, server)).port);
}
