import type { Deadline } from "./deadline.js";
import type { Code, MercatoError, Refusal } from "./errors.js";
import { failure, isMercatoError, isOwn, readRefusal, refused } from "./errors.js";
import { MAY_HAVE_ACTED } from "./gen/reasons.js";
import { backoffMs, isRetryable, pushbackMs, Throttle } from "./retries.js";
import type { Tokens } from "./sessions.js";
import type { Received, Transport } from "./wire.js";
import { Foreign, Lost, statusOf } from "./wire.js";
import { RETRIES } from "./gen/rules.js";

/** What the descriptor of an RPC says of its calls. */
export interface Rule {
  /** It changes nothing. */
  readonly reads: boolean;
  /** It honours an idempotency key. */
  readonly takesKey: boolean;
  /** It needs a login. */
  readonly needsLogin: boolean;
  /** The published service config retries it. */
  readonly retries: boolean;
}

/** One call, which may be sent several times. */
export interface Call {
  readonly path: string;
  readonly rule: Rule;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** How long a client that never had an answer tries to reach the shop, so that a wrong address is told soon. */
const FIRST_CONTACT_MS = 800;
const RECONNECT_MS = 100;
const RECONNECT_MAX_MS = 1000;
/** Codes of answers without a reason of Mercato: a proxy may have given up after the shop has got the call. */
const LOST_CODES: readonly string[] = ["CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/** Sends calls over one transport, by the rules of the service config. */
export class Caller {
  readonly #transport: Transport;
  readonly #throttle = new Throttle();
  #hadAnswer = false;
  #isClosed = false;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Send a call until there is an answer that a retry cannot change; rejects with MercatoError. */
  call(call: Call, deadline: Deadline, tokens: Tokens | undefined): Promise<Received> {
    return new Attempts(this, call, deadline, tokens).run();
  }

  close(): void {
    this.#isClosed = true;
    this.#transport.close();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get hadAnswer(): boolean {
    return this.#hadAnswer;
  }

  get throttle(): Throttle {
    return this.#throttle;
  }

  /** Send once. Tells a client that was never connected why there is no connection, at once. */
  async send(call: Call, token: string | undefined, deadline: Deadline): Promise<Received> {
    await this.#transport.connect(deadline.signal);
    const headers = new Map(Object.entries(call.headers));
    headers.set("grpc-timeout", `${Math.max(1, Math.floor(deadline.leftMs))}m`);
    if (call.key) {
      headers.set("idempotency-key", call.key);
    }
    if (token !== undefined && !headers.has("authorization")) {
      headers.set("authorization", `Bearer ${token}`);
    }
    const received = await this.#transport.send({ path: call.path, headers, body: call.body, signal: deadline.signal });
    this.#hadAnswer = true;
    return received;
  }
}

/** Why an attempt failed. */
interface Miss {
  readonly refusal: Refusal;
  readonly requestId: string;
  readonly pushback: number | undefined;
  /** Whether the shop may have done what was asked. */
  readonly mayHaveActed: boolean;
  readonly lost: Lost | undefined;
}

/** The attempts of one call. */
class Attempts {
  readonly #caller: Caller;
  readonly #call: Call;
  readonly #deadline: Deadline;
  readonly #tokens: Tokens | undefined;
  readonly #began = performance.now();
  #sent = 0;
  #unsent = 0;
  #mayHaveActed = false;
  #last: Miss | undefined;

  constructor(caller: Caller, call: Call, deadline: Deadline, tokens: Tokens | undefined) {
    this.#caller = caller;
    this.#call = call;
    this.#deadline = deadline;
    this.#tokens = call.rule.needsLogin ? tokens : undefined;
  }

  async run(): Promise<Received> {
    let token = await this.#token((tokens) => tokens.current(this.#deadline));
    let mayReplace = token !== undefined;
    for (;;) {
      const outcome = await this.#attempt(token);
      if (!("refusal" in outcome)) {
        this.#caller.throttle.succeeded();
        return outcome;
      }
      this.#last = outcome;
      if (mayReplace && token !== undefined && outcome.refusal.serverReason === "TOKEN_INVALID") {
        const refusedToken = token;
        token = await this.#token((tokens) => tokens.instead(refusedToken, this.#deadline));
        mayReplace = false;
        if (token !== undefined && token !== refusedToken) {
          continue;
        }
      }
      const wait = this.#waitMs(outcome);
      if (wait === undefined) {
        throw this.#failure(outcome);
      }
      try {
        await this.#deadline.sleep(wait);
      } catch {
        throw this.#failure(this.#late());
      }
    }
  }

  /** Get a token; an error of its refresh becomes the error of this call, which was not sent by it. */
  async #token(get: (tokens: Tokens) => Promise<string | undefined>): Promise<string | undefined> {
    try {
      return this.#tokens && (await get(this.#tokens));
    } catch (error) {
      if (this.#deadline.signal.aborted) {
        throw this.#failure(this.#late());
      }
      if (!isMercatoError(error)) {
        throw error;
      }
      const { code, message, serverReason, metadata, details, retryAfterMs, requestId } = error;
      const refusal = { code, message: `the session was not renewed: ${message}`, serverReason, metadata, details, retryAfterMs };
      throw failure(refusal, { ...this.#circumstances(requestId), cause: error }, isOwn(error) ? error.reason : null);
    }
  }

  async #attempt(token: string | undefined): Promise<Received | Miss> {
    if (this.#deadline.leftMs <= 0) {
      return this.#late();
    }
    if (this.#caller.isClosed) {
      throw failure(refused("CANCELLED", "the client is closed"), this.#circumstances(""), "CLIENT_CLOSED");
    }
    this.#sent += 1;
    try {
      const received = await this.#caller.send(this.#call, token, this.#deadline);
      const status = statusOf(received);
      if (status?.code === 0 && received.message) {
        return received;
      }
      return this.#refusal(received, status);
    } catch (error) {
      return this.#noAnswer(error);
    }
  }

  /** The answer was an error. */
  #refusal(received: Received, status: ReturnType<typeof statusOf>): Miss {
    const told = status ?? { code: 2, message: "the answer has no status", details: undefined };
    const refusal = told.code === 0 ? refused("INTERNAL", "the answer has no message") : readRefusal(told.code, told.message, told.details);
    const mayHaveActed = MAY_HAVE_ACTED.includes(refusal.serverReason) || (!refusal.serverReason && LOST_CODES.includes(refusal.code));
    const requestId = received.trailers.get("x-request-id") ?? received.headers.get("x-request-id") ?? "";
    return { refusal, requestId, pushback: pushbackMs(received.headers, received.trailers), mayHaveActed, lost: undefined };
  }

  #noAnswer(error: unknown): Miss {
    if (error instanceof Foreign) {
      return { refusal: readRefusal(error.code, error.message, undefined), requestId: "", pushback: -1, mayHaveActed: error.code !== 12, lost: undefined };
    }
    if (!(error instanceof Lost)) {
      throw error;
    }
    if (!error.sent) {
      this.#sent -= 1;
      this.#unsent += 1;
    }
    if (this.#deadline.signal.aborted) {
      return this.#late(error);
    }
    return { refusal: refused("UNAVAILABLE", error.message), requestId: "", pushback: undefined, mayHaveActed: error.sent, lost: error };
  }

  /** The deadline passed, or the caller gave up. */
  #late(lost?: Lost): Miss {
    const [code, why]: [Code, string] = this.#deadline.isCancelled
      ? ["CANCELLED", "the caller gave up"]
      : ["DEADLINE_EXCEEDED", "no answer in time"];
    const before = this.#last ? `; before that: ${this.#last.refusal.serverReason || this.#last.refusal.message}` : "";
    return { refusal: refused(code, why + before), requestId: "", pushback: -1, mayHaveActed: lost?.sent ?? false, lost };
  }

  /** Return the milliseconds until the next attempt; undefined if there is none. */
  #waitMs({ refusal, pushback, lost, mayHaveActed }: Miss): number | undefined {
    this.#mayHaveActed ||= mayHaveActed && isRetryable(refusal.code);
    if (lost && !lost.sent) {
      return this.#reconnectMs(lost);
    }
    if (!isRetryable(refusal.code)) {
      return undefined;
    }
    const isAllowed = this.#caller.throttle.failed();
    const isSpent = this.#sent >= RETRIES.maxAttempts;
    if (!this.#call.rule.retries || !isAllowed || isSpent || (pushback !== undefined && pushback < 0)) {
      return undefined;
    }
    const wait = pushback ?? backoffMs(this.#sent);
    const untilTold = this.#caller.hadAnswer || lost?.connected !== false ? Number.POSITIVE_INFINITY : this.#firstContactMs();
    return wait < Math.min(this.#deadline.leftMs, untilTold) ? wait : undefined;
  }

  /** Nothing was sent, so any call may be sent again, as long as it has time. */
  #reconnectMs(lost: Lost): number | undefined {
    const wait = Math.min(RECONNECT_MS * 2 ** (this.#unsent - 1), RECONNECT_MAX_MS) * (0.8 + 0.4 * Math.random());
    const isWrong = !lost.connected && !this.#caller.hadAnswer;
    return isWrong || wait >= this.#deadline.leftMs ? undefined : wait;
  }

  #firstContactMs(): number {
    return FIRST_CONTACT_MS - (performance.now() - this.#began);
  }

  #failure(miss: Miss): MercatoError {
    const { rule } = this.#call;
    // A refusal settles earlier attempts of a keyed call: had one of them acted, its answer would have been replayed.
    const wasLost = this.#mayHaveActed && (isRetryable(miss.refusal.code) || LOST_CODES.includes(miss.refusal.code));
    const outcomeUnknown = !rule.reads && (miss.mayHaveActed || wasLost);
    const isUnsent = this.#sent === 0 && miss.lost !== undefined && !miss.lost.sent && miss.refusal.code === "UNAVAILABLE";
    const at = { ...this.#circumstances(miss.requestId), outcomeUnknown };
    const own = isUnsent ? "CONNECTION_FAILED" : null;
    return failure(miss.refusal, miss.lost ? { ...at, cause: miss.lost.cause ?? miss.lost } : at, own);
  }

  #circumstances(requestId: string) {
    return {
      method: this.#call.path,
      requestId,
      idempotencyKey: this.#call.key,
      outcomeUnknown: this.#mayHaveActed && !this.#call.rule.reads,
      attempts: this.#sent,
    };
  }
}
