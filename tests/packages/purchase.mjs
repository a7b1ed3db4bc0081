// Buy with the installed npm package, from sign-up to order. Arguments: the entry (node or web), the address of a shop, an id of a product,
// and an e-mail address of a buyer. Writes the id of the order.
import { strict as assert } from "node:assert";
import * as common from "@mercato/client";

const [entry, address, productId, email] = process.argv.slice(2);
const { connect } = await import(`@mercato/client/${entry}`);
const password = "securepass123";
const shop = connect(`http://${address}`);
await shop.auth.signUp({ email, password, fullName: "Jo Doe" });
await shop.login(email, password);
await shop.cart.addCartItem({ productId, quantity: 2 });
const order = await shop.orders.checkout({ expectedTotal: { minorUnits: 3998n } });
try {
  await shop.orders.checkout({});
  assert.fail("an empty cart was bought");
} catch (error) {
  assert(common.isMercatoError(error), String(error));
  assert.equal(error.reason, "CART_EMPTY");
}
process.stdout.write(order.id);
shop.close?.();
