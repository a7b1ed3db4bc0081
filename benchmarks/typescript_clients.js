// `node typescript_clients.js MODULES TARGET client|bare PRODUCT CALLS`: prints the processor time of this process for each call, in µs.
//
// `bare` is connect-node's stub on the same messages and an HTTP/2 connection of the same kind, without keys and retries.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, target, way, productId, calls] = process.argv.slice(2);
const timeoutMs = 30_000;
const require = createRequire(`${modules}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

async function caller() {
  if (way === "client") {
    const { connect } = await import(`${modules}/dist/node.js`);
    const shop = connect(target);
    return [() => shop.catalog.getProduct({ productId }, { timeoutMs }), () => shop.close()];
  }
  const { createClient } = await load("@connectrpc/connect");
  const { createGrpcTransport, Http2SessionManager } = await load("@connectrpc/connect-node");
  const { CatalogService } = await import(`${modules}/dist/gen/mercato/v1/catalog_pb.js`);
  const sessionManager = new Http2SessionManager(target);
  const stub = createClient(CatalogService, createGrpcTransport({ baseUrl: target, sessionManager }));
  return [() => stub.getProduct({ productId }, { timeoutMs }), () => sessionManager.abort()];
}

const [call, close] = await caller();
for (let warm = 0; warm < 500; warm += 1) await call();
const before = process.cpuUsage();
for (let number = 0; number < Number(calls); number += 1) {
  if ((await call()).id !== productId) throw new Error("another product");
}
const { user, system } = process.cpuUsage(before);
console.log((user + system) / Number(calls));
close();
