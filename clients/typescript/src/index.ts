/** What the clients for browsers (`@mercato/client/web`) and Node (`@mercato/client/node`) share: messages, errors, sessions. */

export type { Code, ConnectionFailed, Failure, MercatoError, OtherError, ReasonedError } from "./errors.js";
export { isMercatoError } from "./errors.js";
export * from "./gen/messages.js";
export type { Reasons } from "./gen/reasons.js";
export { newKey } from "./keys.js";
export { decimals, money, toDecimal } from "./money.js";
export type { Pager } from "./pager.js";
export { buyer, everything } from "./services.js";
export type { SessionStore, StoredSession } from "./sessions.js";
export { fixedSession, MemoryStore } from "./sessions.js";
export type { Account, Answer, CallOptions, ClientOptions, Services, Shop, Stub, Stubs } from "./shop.js";
export { VERSION } from "./version.js";
