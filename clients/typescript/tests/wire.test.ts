import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { failure, readRefusal } from "../src/errors.js";
import { REASONS } from "../src/gen/reasons.js";
import * as rules from "../src/gen/rules.js";
import { isMercatoError } from "../src/index.js";
import { buyer, everything } from "../src/services.js";
import { frame, statusOf, unframe } from "../src/wire.js";

const AT = { method: "/m", requestId: "", idempotencyKey: "", outcomeUnknown: false, attempts: 1 };

test("frames are a byte of flags, a length of four bytes, and the message", () => {
  assert.deepEqual([...frame([Uint8Array.of(7, 8), new Uint8Array()])], [0, 0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0]);
});

test("the trailers of gRPC-Web follow the message", () => {
  const text = "grpc-status:5\r\nGrpc-Message: no%20such\r\n";
  const body = Buffer.concat([frame([Uint8Array.of(1)]), Buffer.from([0x80, 0, 0, 0, text.length]), Buffer.from(text)]);
  const { message, trailers } = unframe(body);
  assert.deepEqual([...(message ?? [])], [1]);
  assert.deepEqual(statusOf({ headers: new Map(), trailers, message }), { code: 5, message: "no such", details: undefined });
});

test("a body that ends too early, is compressed or has two messages is refused", () => {
  const framed = frame([Uint8Array.of(1, 2, 3)]);
  for (let length = 1; length < framed.length; length += 1) {
    assert.throws(() => unframe(framed.subarray(0, length)));
  }
  assert.throws(() => unframe(Uint8Array.of(1, 0, 0, 0, 0)));
  assert.throws(() => unframe(frame([Uint8Array.of(1), Uint8Array.of(2)])));
});

test("malformed details never throw", () => {
  let state = 1;
  const random = () => (state = (state * 48_271) % 2_147_483_647);
  for (let round = 0; round < 2000; round += 1) {
    const bytes = Uint8Array.from({ length: random() % 60 }, () => random() % 256);
    const error = failure(readRefusal(9, "no", bytes), AT);
    assert.ok(isMercatoError(error) && error.code === "FAILED_PRECONDITION");
  }
});

test("a reason, code or message of a newer server is an error by its code", () => {
  const unknown = { ...readRefusal(9, "no", undefined), serverReason: "INVENTED_LATER" };
  const error = failure(unknown, AT);
  assert.deepEqual([error.reason, error.serverReason, error.code, error.detail], [null, "INVENTED_LATER", "FAILED_PRECONDITION", undefined]);
  assert.equal(failure(readRefusal(99, "no", undefined), AT).code, "UNKNOWN");
});

test("the reasons of this client are none of the server's", () => {
  assert.ok(!REASONS.includes("CONNECTION_FAILED") && !REASONS.includes("CLIENT_CLOSED"));
});

test("each service has its place, and each RPC its rule", () => {
  const files = readdirSync(new URL("../src/gen/mercato/v1/", import.meta.url)).filter((name) => name.endsWith("_pb.js"));
  assert.ok(files.length > 10);
  const named = Object.values(everything).map(([service]) => service.name);
  const ruled = Object.keys(rules).filter((name) => name.endsWith("Service"));
  assert.deepEqual(named.toSorted(), ruled.toSorted());
  for (const [service, text] of Object.values(everything)) {
    assert.deepEqual(service.methods.map((method) => method.name).toSorted(), text.split(" ").map((rule) => rule.split(":")[0]).toSorted());
  }
  for (const name of Object.keys(buyer) as (keyof typeof buyer)[]) {
    assert.equal(buyer[name], buyer[name]);
    assert.equal(buyer[name][0], everything[name][0]);
  }
});
