import assert from "node:assert/strict";
import { test } from "node:test";
import { money, toDecimal } from "../src/index.js";

test("amounts become decimals and back, by the decimals of their currency", () => {
  const cases: [string, string, bigint][] = [
    ["19.99", "USD", 1999n],
    ["-0.05", "EUR", -5n],
    ["1500", "JPY", 1500n],
    ["0.001", "KWD", 1n],
    ["1.0001", "CLF", 10_001n],
    ["92233720368547758.07", "USD", 9_223_372_036_854_775_807n],
  ];
  for (const [text, currency, minor] of cases) {
    assert.equal(money(text, currency).minorUnits, minor);
    assert.equal(toDecimal({ currencyCode: currency, minorUnits: minor }), text);
  }
  assert.equal(money("5", "USD").minorUnits, 500n);
  assert.equal(money(5n, "USD").minorUnits, 500n);
  assert.equal(money("1.500", "USD").minorUnits, 150n);
});

test("numbers, other currencies and too many decimals are refused", () => {
  assert.throws(() => money(19.99 as unknown as string, "USD"), TypeError);
  for (const [text, currency] of [["1.005", "USD"], ["1.5", "JPY"], ["1", "XAU"], ["1", "US"], ["1", "D E"], ["1e3", "USD"], ["", "USD"], ["92233720368547758.08", "USD"]]) {
    assert.throws(() => money(text as string, currency as string), RangeError, `${text} ${currency}`);
  }
  assert.throws(() => toDecimal({ currencyCode: "USD" } as never), RangeError);
});
