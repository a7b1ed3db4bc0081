import { RETRIES } from "./gen/rules.js";
import type { Fields } from "./wire.js";

/** Stops the retries of a client when much fails: the token count of gRPC's retryThrottling (its proposal A6). */
export class Throttle {
  #tokens = RETRIES.maxTokens;

  succeeded(): void {
    this.#tokens = Math.min(RETRIES.maxTokens, this.#tokens + RETRIES.tokenRatio);
  }

  /** Count a failure, and return whether retries are still allowed. */
  failed(): boolean {
    this.#tokens = Math.max(0, this.#tokens - 1);
    return this.#tokens > RETRIES.maxTokens / 2;
  }
}

/** Return whether an RPC that may be retried is retried after this code. */
export function isRetryable(code: string): boolean {
  return RETRIES.codes.includes(code);
}

/** Return the milliseconds before the attempt after `attempts`: a rising backoff, 20 % more or less. */
export function backoffMs(attempts: number): number {
  const backoff = RETRIES.initialBackoffMs * RETRIES.backoffMultiplier ** (attempts - 1);
  return Math.min(backoff, RETRIES.maxBackoffMs) * (0.8 + 0.4 * Math.random());
}

/** Return what the server wishes: milliseconds until the next attempt, negative for none, undefined if it says nothing. */
export function pushbackMs(headers: Fields, trailers: Fields): number | undefined {
  const name = "grpc-retry-pushback-ms";
  const text = trailers.get(name) ?? headers.get(name);
  if (text === undefined) {
    return undefined;
  }
  return /^\d{1,9}$/.test(text) ? Number(text) : -1;
}
