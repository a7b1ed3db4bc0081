// Shops with types that are generated from the OpenAPI document, and prints what it bought and what it was refused.
// A line after `@ts-expect-error` must not compile.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Schemas = components["schemas"];
declare const process: { argv: string[] };
const [, , base = "", email = ""] = process.argv;
const password = "blue-kite-over-hills";
const anyone = createClient<paths>({ baseUrl: base });

/** Tell what an error says, detail by detail: `@type` narrows a detail to its fields. */
function told(error: Schemas["Status"]): string[] {
  return error.details.map((detail) => {
    switch (detail["@type"]) {
      case "type.googleapis.com/google.rpc.ErrorInfo":
        return `${detail.reason} of ${detail.domain}`;
      case "type.googleapis.com/google.rpc.BadRequest":
        return detail.field_violations.map((violation) => violation.field).join();
      case "type.googleapis.com/google.rpc.PreconditionFailure":
        // @ts-expect-error: a violation of a precondition has no field
        detail.violations[0]?.field;
        return detail.violations.map((violation) => violation.type).join();
      case "type.googleapis.com/google.rpc.ResourceInfo":
        return `${detail.resource_type} ${detail.resource_name}`;
      case "type.googleapis.com/google.rpc.RetryInfo":
        return detail.retry_delay;
      case "type.googleapis.com/mercato.v1.StockShortage":
        return detail.lines.map((line) => `${line.wanted} wanted, ${line.available} available`).join();
      case "type.googleapis.com/mercato.v1.QuoteChange":
        return `${detail.quoted.total.minor_units} quoted, ${detail.current.total.minor_units} now`;
      default: {
        const none: never = detail;
        return none;
      }
    }
  });
}

function got<Result>(answer: { data?: Result; error?: Schemas["Status"] }): Result {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

got(await anyone.POST("/signup", { body: { email, password } }));
const login = got(await anyone.POST("/v1/auth:login", { body: { email, password } }));
const buyer = createClient<paths>({ baseUrl: base, headers: { authorization: `Bearer ${login.access_token}` } });

const page = got(await buyer.GET("/products", { params: { query: { page_size: 1, in_stock: true } } }));
const product = page.products[0];
if (!product) throw new Error("the shop sells nothing");
const total: string = product.price.minor_units;
// @ts-expect-error: an amount is a string, for JavaScript's numbers lose digits
const lossy: number = product.price.minor_units;
// @ts-expect-error: a product that is on sale has no time of its deletion
const deleted: string = product.delete_time;

const params = { path: { product_id: product.id } };
got(await buyer.POST("/cart/add/{product_id}", { params, body: { quantity: 1 } }));
// @ts-expect-error: no such field
const misspelt: Schemas["CheckoutRequest"] = { validate_onyl: true };
const order = got(await buyer.POST("/orders/checkout", { body: { expected_total: { minor_units: total } } }));

const empty = await buyer.POST("/orders/checkout", {});
const absent = await buyer.GET("/orders/{order_id}", { params: { path: { order_id: product.id } } });
const invalid = await anyone.POST("/signup", { body: { email: "nobody", password: "" } });
const stranger = await anyone.GET("/cart");
got(await buyer.PATCH("/cart/items/{product_id}", { params, body: { quantity: 1000 } }));
const short = await buyer.POST("/orders/checkout", {});
console.log(
  JSON.stringify({
    product_id: product.id,
    status: order.status,
    total: order.total.minor_units,
    lines: order.lines.map((line) => line.product_id === product.id),
    refused: [empty, absent, invalid, stranger, short].map((answer) => (answer.error ? told(answer.error) : [])),
    unused: [typeof lossy, typeof deleted, typeof misspelt],
  }),
);
