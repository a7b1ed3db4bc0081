/** A purchase from signup to order, and the errors on its way. The same program runs in Node and in a browser. */

import type { buyer, Shop } from "@mercato/client";
import { isMercatoError } from "@mercato/client";

export interface Report {
  readonly orderId: string;
  readonly total: string;
  readonly orders: string[];
  readonly names: string[];
  readonly replayed: boolean[];
  readonly requestIds: number;
  readonly errors: string[];
  readonly after: string;
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "no error";
  } catch (error) {
    if (!isMercatoError(error)) {
      throw error;
    }
    switch (error.reason) {
      case "OUT_OF_STOCK":
        return `OUT_OF_STOCK ${error.detail.lines.map((line) => `${line.wanted} of ${line.available}`)}`;
      case "INVALID_FIELD":
        return `INVALID_FIELD ${error.detail.fieldViolations.map((violation) => violation.field)}`;
      default:
        return `${error.reason} ${error.code}`;
    }
  }
}

/** Buy a product of which there are `stock` units, in a shop whose products have several pages. */
export async function purchase(shop: Shop<typeof buyer>, email: string, productId: string): Promise<Report> {
  const password = "blue-kite-over-hills";
  const errors = [await refusal(shop.auth.signUp({ email: "nobody", password: "" }))];
  await shop.auth.signUp({ email, password });
  errors.push(await refusal(shop.login(email, "a wrong password")));
  errors.push(await refusal(shop.cart.getCart()));
  await shop.login(email, password);
  errors.push(await refusal(shop.orders.checkout()));
  const names: string[] = [];
  for await (const product of shop.catalog.listProducts({ pageSize: 2 })) {
    names.push(product.name);
  }
  await shop.cart.setCartItem({ productId, quantity: 1000 });
  errors.push(await refusal(shop.orders.checkout()));
  await shop.cart.setCartItem({ productId, quantity: 2 });
  const idempotencyKey = `of-${email}`;
  const first = await shop.withResponse.orders.checkout({}, { idempotencyKey });
  const again = await shop.withResponse.orders.checkout({}, { idempotencyKey });
  const orders: string[] = [];
  for await (const order of shop.orders.listOrders()) {
    orders.push(order.id);
  }
  await shop.logout();
  return {
    orderId: first.message.id,
    total: String(first.message.total?.minorUnits),
    orders,
    names,
    replayed: [first.replayed, again.replayed],
    requestIds: new Set([first.requestId, again.requestId, ""]).size - 1,
    errors,
    after: await refusal(shop.cart.getCart()),
  };
}
