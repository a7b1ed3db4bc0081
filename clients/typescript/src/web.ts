/** The client for browsers: gRPC-Web by `fetch`. */

import { FetchTransport } from "./fetch_transport.js";
import { buyer } from "./services.js";
import type { ClientOptions, Services, Shop } from "./shop.js";
import { shopOver } from "./shop.js";
import { VERSION } from "./version.js";

export * from "./index.js";
export { TabStore } from "./tabs.js";

/**
 * Return a client of the shop at a URL. Nothing is sent yet.
 *
 * It has the services that buyers use; `{ services: everything }` has all of them.
 */
export function connect<S extends Services = typeof buyer>(url: string | URL, options: ClientOptions<S> = {}): Shop<S> {
  const services = (options.services ?? buyer) as S;
  return shopOver(new FetchTransport(new URL(url)), services, options, { "x-user-agent": `mercato-typescript/${VERSION}` });
}
