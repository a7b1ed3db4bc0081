/** A page that calls `#URL`, where nothing listens, and shows how it failed. */

import { connect, isMercatoError } from "@mercato/client/web";

const began = performance.now();
connect(decodeURIComponent(location.hash.slice(1)))
  .catalog.getProduct({ productId: "p" })
  .catch((error: unknown) => {
    const { code, message, outcomeUnknown } = isMercatoError(error) ? error : { code: "", message: String(error), outcomeUnknown: true };
    document.body.dataset["result"] = JSON.stringify({ code, message, outcomeUnknown, ms: performance.now() - began });
  });
