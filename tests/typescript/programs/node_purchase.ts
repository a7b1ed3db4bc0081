/** `node node_purchase.js URL EMAIL PRODUCT`: buys, and prints what happened. */

import { readFileSync } from "node:fs";
import { connect } from "@mercato/client/node";
import { purchase } from "./purchase.js";

const [url = "", email = "", productId = "", certificate] = process.argv.slice(2);
const shop = connect(url, certificate ? { tls: { ca: readFileSync(certificate) } } : {});
process.stdout.write(JSON.stringify(await purchase(shop, email, productId)));
shop.close();
