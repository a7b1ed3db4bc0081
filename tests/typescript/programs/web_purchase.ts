/** A page that buys at `#URL,EMAIL,PRODUCT`, and shows what happened. */

import { connect } from "@mercato/client/web";
import { purchase } from "./purchase.js";

const [url = "", email = "", productId = ""] = decodeURIComponent(location.hash.slice(1)).split(",");
const done = purchase(connect(url), email, productId).then(JSON.stringify, (error: unknown) => `failed: ${String(error)}`);
void done.then((text) => (document.body.dataset["result"] = text));
