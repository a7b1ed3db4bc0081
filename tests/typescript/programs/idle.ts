/** `node idle.js URL TOKEN PRODUCT`: a call that is sent once, and one more for each line of its input. */

import { createInterface } from "node:readline";
import { connect } from "@mercato/client/node";

const [url = "", token = "", productId = ""] = process.argv.slice(2);
const shop = connect(url, { token });

async function add(): Promise<void> {
  const cart = await shop.cart.setCartItem({ productId, quantity: 1 });
  console.log(`added ${cart.lines.length}`);
}

await add();
for await (const _ of createInterface({ input: process.stdin })) {
  await add();
}
shop.close();
