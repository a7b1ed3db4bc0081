import { create } from "@bufbuild/protobuf";
import { CURRENCIES } from "./gen/currencies.js";
import type { Money } from "./gen/mercato/v1/money_pb.js";
import { MoneySchema } from "./gen/mercato/v1/money_pb.js";

const AMOUNT = /^(-?)(\d{1,40})(?:\.(\d{1,40}))?$/;
const MINOR_MAX = 2n ** 63n - 1n;

/** Return the digits after the decimal point of a currency of ISO 4217; throws RangeError for another one. */
export function decimals(currencyCode: string): number {
  for (const [digits, codes] of Object.entries(CURRENCIES)) {
    if (/^[A-Z]{3}$/.test(currencyCode) && codes.includes(currencyCode)) {
      return Number(digits);
    }
  }
  throw new RangeError(`${currencyCode} is no currency of ISO 4217`);
}

/** Return an amount in the currency's unit with all its decimals: 1,500 cents are "15.00". Throws RangeError without an amount. */
export function toDecimal({ currencyCode, minorUnits }: Pick<Money, "currencyCode" | "minorUnits">): string {
  if (minorUnits === undefined) {
    throw new RangeError("the amount has no minorUnits");
  }
  const digits = decimals(currencyCode);
  const text = String(minorUnits < 0n ? -minorUnits : minorUnits).padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits);
  return (minorUnits < 0n ? "-" : "") + whole + (digits === 0 ? "" : `.${text.slice(-digits)}`);
}

/**
 * Return an amount of a currency's unit as a message: `money("19.99", "USD")` is 1,999 minor units.
 *
 * Throws TypeError for a number, which cannot hold most amounts, and RangeError for an amount with more decimals than the currency has.
 */
export function money(amount: string | bigint, currencyCode: string): Money {
  if (typeof amount !== "string" && typeof amount !== "bigint") {
    throw new TypeError("an amount of money is a string or a bigint");
  }
  const found = AMOUNT.exec(String(amount));
  if (!found) {
    throw new RangeError(`${amount} is no amount of money`);
  }
  const [, sign, whole = "", fraction = ""] = found;
  const digits = decimals(currencyCode);
  if (/[1-9]/.test(fraction.slice(digits))) {
    throw new RangeError(`${amount} has more than the ${digits} decimals of ${currencyCode}`);
  }
  const minor = BigInt(whole + fraction.slice(0, digits).padEnd(digits, "0"));
  if (minor > MINOR_MAX) {
    throw new RangeError(`${amount} ${currencyCode} is more than a message can hold`);
  }
  return create(MoneySchema, { currencyCode, minorUnits: sign ? -minor : minor });
}
