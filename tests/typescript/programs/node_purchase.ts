/** `node node_purchase.js URL EMAIL PRODUCT CERTIFICATE TOKEN PICTURE`: buys, uploads a picture as an administrator, and prints what happened. */

import { createReadStream, readFileSync } from "node:fs";
import { connect } from "@mercato/client/node";
import { purchase } from "./purchase.js";

const [url = "", email = "", productId = "", certificate = "", token = "", picture = ""] = process.argv.slice(2);
const tls = { ca: readFileSync(certificate) };
const shop = connect(url, { tls });
const report = await purchase(shop, email, productId);
shop.close();

const admin = connect(url, { tls, token });
const { id: uploadId } = await admin.media.createPictureUpload();

async function* pieces() {
  for await (const data of createReadStream(picture, { highWaterMark: 50 })) {
    yield { uploadId, content: { data } };
  }
}

const upload = await admin.media.uploadPictureContent(pieces());
admin.close();
process.stdout.write(JSON.stringify({ ...report, upload: upload.id }));
