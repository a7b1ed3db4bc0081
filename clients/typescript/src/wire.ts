import { base64Decode } from "@bufbuild/protobuf/wire";

/** Headers or trailers, by their names in lower case. */
export type Fields = ReadonlyMap<string, string>;

/** One attempt to send. */
export interface Sending {
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
  /** The framed messages. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Ends the attempt: the deadline passed, or the caller gave up. */
  readonly signal: AbortSignal;
}

/** What came back. */
export interface Received {
  readonly headers: Fields;
  readonly trailers: Fields;
  readonly message: Uint8Array | undefined;
}

/** A way to a shop. */
export interface Transport {
  /** Make a connection if this way can tell that there is one; rejects with Lost, and `sent` false. */
  connect(signal: AbortSignal): Promise<void>;
  /** Send once; rejects with Lost if no whole answer came. */
  send(sending: Sending): Promise<Received>;
  close(): void;
}

/** No whole answer came. */
export class Lost extends Error {
  constructor(
    message: string,
    /** Whether the server may have got the request. */
    readonly sent: boolean,
    /** Whether the server may be reached at all: false for a way that cannot tell. */
    readonly connected: boolean,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

/** An answer that is not gRPC's: of another server, or of a proxy before the shop. */
export class Foreign extends Error {
  constructor(
    message: string,
    /** gRPC's status code for the HTTP status. */
    readonly code: number,
  ) {
    super(message);
  }
}

const PREFIX = 5;
const TRAILERS = 0x80;
const COMPRESSED = 0x01;
/** Longest answer in bytes, as in gRPC's own clients. */
export const ANSWER_MAX = 4 * 1024 * 1024;

/** Put messages one after the other, each with its length. */
export function frame(messages: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(messages.reduce((length, message) => length + PREFIX + message.length, 0));
  const view = new DataView(framed.buffer);
  let at = 0;
  for (const message of messages) {
    view.setUint32(at + 1, message.length);
    framed.set(message, at + PREFIX);
    at += PREFIX + message.length;
  }
  return framed;
}

/** Take a body apart: its message, and the trailers that gRPC-Web puts behind it; throws Error if it is malformed. */
export function unframe(body: Uint8Array): { message: Uint8Array | undefined; trailers: Fields } {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let message: Uint8Array | undefined;
  let trailers: Fields = new Map();
  for (let at = 0; at < body.length; ) {
    const end = at + PREFIX <= body.length ? at + PREFIX + view.getUint32(at + 1) : Number.POSITIVE_INFINITY;
    if (end > body.length) {
      throw new Error("the answer ends in the middle of a message");
    }
    const flags = view.getUint8(at);
    const content = body.subarray(at + PREFIX, end);
    if (flags & COMPRESSED) {
      throw new Error("the answer is compressed, although the client did not ask for it");
    }
    if (flags & TRAILERS) {
      trailers = fields(new TextDecoder().decode(content));
    } else if (message) {
      throw new Error("the answer has more than one message");
    } else {
      message = content;
    }
    at = end;
  }
  return { message, trailers };
}

function fields(text: string): Fields {
  const found = new Map<string, string>();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) {
      found.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
  }
  return found;
}

/** Return the gRPC status of an answer, which is in its trailers, or in its headers if there is nothing else. */
export function statusOf(received: Received): { code: number; message: string; details: Uint8Array | undefined } | undefined {
  const from = received.trailers.has("grpc-status") ? received.trailers : received.headers;
  const code = Number.parseInt(from.get("grpc-status") ?? "", 10);
  if (Number.isNaN(code)) {
    return undefined;
  }
  return { code, message: decoded(from.get("grpc-message") ?? ""), details: binary(from.get("grpc-status-details-bin")) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function binary(text: string | undefined): Uint8Array | undefined {
  try {
    return text === undefined ? undefined : base64Decode(text.split(",")[0] ?? "");
  } catch {
    return undefined;
  }
}

/** gRPC's codes for HTTP statuses of servers that do not speak gRPC (its doc/http-grpc-status-mapping.md). */
const HTTP_CODES: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };

/** Refuse an answer that is not gRPC's. */
export function requireGrpc(url: string, status: number, headers: Fields): void {
  const type = headers.get("content-type") ?? "";
  if (status !== 200 || !type.startsWith("application/grpc")) {
    const told = `${url} answered HTTP ${status}${type && ` with ${type}`}, which is not gRPC`;
    throw new Foreign(told, HTTP_CODES[status] ?? 2);
  }
}
