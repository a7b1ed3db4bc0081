import type { Message } from "@bufbuild/protobuf";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import type { Reasons } from "./gen/reasons.js";
import { detailSchema, detailSchemas, REASONS } from "./gen/reasons.js";

/** The names of gRPC's status codes, by number; OK is none of an error. */
export const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** Name of the gRPC status code of an error. */
export type Code = Exclude<(typeof CODES)[number], "OK">;

/** The domain of the errors of Mercato, the same for all shops. */
export const DOMAIN = "mercato.internal";

/** What every error of this client says. */
export interface Failure extends Error {
  readonly name: "MercatoError";
  /** gRPC status code. */
  readonly code: Code;
  /** The server's reason as it came, also one of a newer server that this client does not know; empty without one. */
  readonly serverReason: string;
  /** Values of the message, and others that belong to the reason, such as the current etag. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Every detail that this client knows, such as google.rpc.BadRequest. */
  readonly details: readonly Message[];
  /** Id of the request, to be found in the server's logs; empty if no answer came. */
  readonly requestId: string;
  /** Path of the RPC, such as `/mercato.v1.CartService/AddCartItem`. */
  readonly method: string;
  /** The idempotency key that the call carried; empty if it carried none. */
  readonly idempotencyKey: string;
  /** Whether the call may have changed something. Repeat it with `idempotencyKey` to learn the outcome. */
  readonly outcomeUnknown: boolean;
  /** Milliseconds after which the same call may succeed, if the server said so. */
  readonly retryAfterMs: number | undefined;
  /** How often the call was sent. */
  readonly attempts: number;
}

/** No connection, so nothing was sent: a wrong address, a TLS mismatch, or the client was closed. */
export interface ConnectionFailed extends Failure {
  readonly reason: "CONNECTION_FAILED" | "CLIENT_CLOSED";
  readonly detail: undefined;
}

/** An error with a reason that this client knows: `reason` narrows `detail`. */
export type ReasonedError = {
  [R in keyof Reasons]: Failure & { readonly reason: R; readonly detail: Reasons[R] };
}[keyof Reasons];

/** An error without a reason that this client knows: branch on `code`. */
export interface OtherError extends Failure {
  readonly reason: null;
  readonly detail: undefined;
}

/** Every error that this client throws; `switch (error.reason)` tells them apart. */
export type MercatoError = ConnectionFailed | ReasonedError | OtherError;

const BRAND = Symbol.for("mercato.error");

/** Return whether something that was thrown is an error of this client, also of another copy of it. */
export function isMercatoError(thrown: unknown): thrown is MercatoError {
  return typeof thrown === "object" && thrown !== null && BRAND in thrown;
}

/** Return whether no connection is the cause. */
export function isOwn(error: MercatoError): error is ConnectionFailed {
  return error.reason === "CONNECTION_FAILED" || error.reason === "CLIENT_CLOSED";
}

/** The parts of an error that come from an answer. */
export interface Refusal {
  readonly code: Code;
  readonly message: string;
  readonly serverReason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly details: readonly Message[];
  readonly retryAfterMs: number | undefined;
}

/** The parts of an error that the call knows. */
export interface Circumstances {
  readonly method: string;
  readonly requestId: string;
  readonly idempotencyKey: string;
  readonly outcomeUnknown: boolean;
  readonly attempts: number;
  readonly cause?: unknown;
}

/** Make the error of a call, of a reason of this client itself if one is given. */
export function failure(
  refusal: Refusal,
  at: Circumstances,
  own: ConnectionFailed["reason"] | null = null,
): MercatoError {
  const { cause, ...said } = at;
  const text = refusal.serverReason && !refusal.message.includes(refusal.serverReason) ? `${refusal.serverReason}: ${refusal.message}` : refusal.message;
  const error = new Error(`${text} (${refusal.code} of ${at.method})`, cause === undefined ? {} : { cause });
  const known = own === null && REASONS.includes(refusal.serverReason);
  const reason = own ?? (known ? refusal.serverReason : null);
  const detail = known ? detailOf(refusal.serverReason, refusal.details) : undefined;
  const { message: _, ...rest } = refusal;
  Object.defineProperty(error, BRAND, { value: true });
  Object.defineProperty(error, "name", { value: "MercatoError" });
  return Object.assign(error, rest, said, { reason, detail }) as unknown as MercatoError;
}

/** Return an error of this client itself, without the server's words. */
export function refused(code: Code, message: string): Refusal {
  return { code, message, serverReason: "", metadata: {}, details: [], retryAfterMs: undefined };
}

type Schema = GenMessage<Message>;

/** The detail that a reason promises; an empty one if the server left it out, so that a caller can always read it. */
function detailOf(reason: string, details: readonly Message[]): Message | undefined {
  const schema = detailSchema(reason);
  return schema && (details.find((detail) => detail.$typeName === schema.typeName) ?? create(schema));
}

const KNOWN: ReadonlyMap<string, Schema> = /* @__PURE__ */ new Map(
  [
    BadRequestSchema as Schema,
    ErrorInfoSchema as Schema,
    PreconditionFailureSchema as Schema,
    ResourceInfoSchema as Schema,
    RetryInfoSchema as Schema,
    ...detailSchemas(),
  ].map((schema) => [schema.typeName, schema]),
);

/** Read the details of an error. Those that are malformed, or of a newer server, are left out; nothing throws. */
export function readRefusal(code: number, message: string, packed: Uint8Array | undefined): Refusal {
  const details = packed ? unpackAll(packed) : [];
  const infos = details.filter((detail) => isA(detail, ErrorInfoSchema));
  const info = infos.find((detail) => detail.domain === DOMAIN);
  const delay = details.find((detail) => isA(detail, RetryInfoSchema))?.retryDelay;
  const name = CODES[code];
  return {
    code: name === undefined || name === "OK" ? "UNKNOWN" : name,
    message,
    serverReason: info?.reason ?? "",
    metadata: { ...info?.metadata },
    details,
    retryAfterMs: delay && milliseconds(delay),
  };
}

function isA<M extends Message>(message: Message, schema: GenMessage<M>): message is M {
  return message.$typeName === schema.typeName;
}

function milliseconds(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function unpackAll(packed: Uint8Array): Message[] {
  const found: Message[] = [];
  try {
    for (const any of fromBinary(StatusSchema, packed).details) {
      const schema = KNOWN.get(any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1));
      if (schema) {
        try {
          found.push(fromBinary(schema, any.value));
        } catch {
          // A malformed detail is no reason to hide the error that carries it.
        }
      }
    }
  } catch {
    // The same for a malformed status.
  }
  return found;
}
