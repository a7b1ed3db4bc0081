/** Compiles only if the types of the client say what they must: errors narrow by their reason, and pages have their items. */

import type { Answer, Cart, ListOrdersResponse, ListProductsResponse, MercatoError, Order, Pager, Product, QuoteChange, StockShortage } from "../src/node.js";
import { connect, isMercatoError } from "../src/node.js";
import { connect as connectWeb, everything } from "../src/web.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <T extends true>(): T | undefined => undefined;

const shop = connect("http://127.0.0.1:8080");
const web = connectWeb("http://127.0.0.1:8080");
const admin = connectWeb("http://127.0.0.1:8080", { services: everything });

export function compiles(error: MercatoError): void {
  holds<Same<ReturnType<typeof shop.cart.getCart>, Promise<Cart>>>();
  holds<Same<ReturnType<typeof shop.withResponse.cart.getCart>, Promise<Answer<Cart>>>>();
  holds<Same<ReturnType<typeof shop.catalog.listProducts>, Pager<Product, ListProductsResponse>>>();
  holds<Same<ReturnType<typeof shop.orders.listOrders>, Pager<Order, ListOrdersResponse>>>();
  holds<Same<ReturnType<typeof shop.withResponse.orders.listOrders>, Pager<Order, Answer<ListOrdersResponse>>>>();
  switch (error.reason) {
    case "OUT_OF_STOCK":
      holds<Same<typeof error.detail, StockShortage>>();
      break;
    case "QUOTE_CHANGED":
      holds<Same<typeof error.detail, QuoteChange>>();
      break;
    case null:
      holds<Same<typeof error.detail, undefined>>();
      break;
    // @ts-expect-error: no such reason
    case "OUT_OF_LUCK":
      break;
    default:
      break;
  }
  // @ts-expect-error: a field that the request does not have
  void shop.cart.addCartItem({ product: "p" });
  // @ts-expect-error: a quantity is a number
  void shop.cart.addCartItem({ productId: "p", quantity: "2" });
  // @ts-expect-error: a buyer's client has no services of administrators
  void web.taxes;
  void admin.taxes;
  const thrown: unknown = error;
  // @ts-expect-error: a thrown thing is an error of ours only after the guard
  void thrown.reason;
  if (isMercatoError(thrown)) {
    void thrown.reason;
  }
}
