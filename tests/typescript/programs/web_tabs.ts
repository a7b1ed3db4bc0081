/** A page with frames, which share the session of an origin as tabs do: `#URL,EMAIL,PASSWORD` and a frame `#frame,URL`. */

import type { StoredSession } from "@mercato/client/web";
import { connect, TabStore } from "@mercato/client/web";

const FRAMES = 4;
const [first = "", second = "", third = ""] = decodeURIComponent(location.hash.slice(1)).split(",");

/** Read the cart with a token that has expired, as all frames do at once. */
async function frame(url: string): Promise<string> {
  const shop = connect(url, { session: new TabStore() });
  const carts = await Promise.all([shop.cart.getCart(), shop.cart.getCart()]);
  return `${carts.length} carts by ${(await shop.session())?.refreshToken}`;
}

async function page(url: string, email: string, password: string): Promise<string> {
  const store = new TabStore();
  const shop = connect(url, { session: store });
  await shop.login(email, password);
  await store.save({ ...((await store.load()) as StoredSession), expiresAt: 0, refreshAt: 0 });
  const said = Array.from({ length: FRAMES }, async () => {
    const element = document.createElement("iframe");
    element.src = `${location.pathname}#frame,${url}`;
    document.body.append(element);
    const text = await new Promise<string>((resolve) => addEventListener("message", (event) => event.source === element.contentWindow && resolve(event.data)));
    return text;
  });
  return JSON.stringify(await Promise.all(said));
}

if (first === "frame") {
  void frame(second).then(
    (text) => parent.postMessage(text, "*"),
    (error: unknown) => parent.postMessage(`failed: ${String(error)}`, "*"),
  );
} else {
  void page(first, second, third).then(
    (text) => (document.body.dataset["result"] = text),
    (error: unknown) => (document.body.dataset["result"] = `failed: ${String(error)}`),
  );
}
