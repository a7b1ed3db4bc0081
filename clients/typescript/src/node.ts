/** The client for Node: gRPC over HTTP/2. */

import type { SecureClientSessionOptions } from "node:http2";
import { Http2Transport } from "./http2_transport.js";
import { everything } from "./services.js";
import type { ClientOptions, Services, Shop } from "./shop.js";
import { shopOver } from "./shop.js";
import { VERSION } from "./version.js";

export * from "./index.js";

/** Options of a client in Node. */
export interface NodeOptions<S extends Services> extends ClientOptions<S> {
  /** Options of TLS, such as `ca`, for a URL with `https:`. */
  readonly tls?: SecureClientSessionOptions;
}

/** Return a client of the shop at a URL, with all services. Nothing is sent yet. */
export function connect<S extends Services = typeof everything>(url: string | URL, options: NodeOptions<S> = {}): Shop<S> {
  const services = (options.services ?? everything) as S;
  const transport = new Http2Transport(new URL(url), options.tls ?? {});
  return shopOver(transport, services, options, { "user-agent": `mercato-typescript/${VERSION} node` });
}
