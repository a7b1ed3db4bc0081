/** `node buy_again.js URL TOKEN PRODUCT COUNT [KEY]`: buys until each outcome is known, and prints a line for each step. */

import { connect, isMercatoError, newKey } from "@mercato/client/node";

const [url = "", token = "", productId = "", count = "", key] = process.argv.slice(2);
const shop = connect(url, { token });

async function insist<T>(send: (idempotencyKey: string) => Promise<T>, idempotencyKey: string): Promise<T> {
  for (;;) {
    try {
      return await send(idempotencyKey);
    } catch (error) {
      if (!isMercatoError(error) || !["UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED"].includes(error.code)) {
        throw error;
      }
      if (error.outcomeUnknown && error.idempotencyKey !== idempotencyKey) {
        throw new Error("the error has another key", { cause: error });
      }
      console.log(`again ${error.code} ${error.outcomeUnknown}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

for (let purchase = 0; purchase < Number(count); purchase += 1) {
  await insist((idempotencyKey) => shop.cart.setCartItem({ productId, quantity: 1 }, { idempotencyKey }), newKey());
  console.log("sending");
  const order = await insist((idempotencyKey) => shop.orders.checkout({}, { idempotencyKey }), key ?? newKey());
  console.log(`order ${order.id}`);
}
shop.close();
