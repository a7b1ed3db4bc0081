import type { ClientHttp2Stream, IncomingHttpHeaders, SecureClientSessionOptions } from "node:http2";
import { constants } from "node:http2";
import { Http2SessionManager } from "@connectrpc/connect-node";
import type { Fields, Received, Sending, Transport } from "./wire.js";
import { ANSWER_MAX, frame, Lost, requireGrpc, unframe } from "./wire.js";

/** A connection that was silent for so long answers a ping before it carries a call. */
const SILENCE_MS = 10_000;
const PING_TIMEOUT_MS = 2000;
/** How long a client looks for a server at an address that it never reached. */
const SEARCH_MS = 10_000;
const HEALTH = "/grpc.health.v1.Health/Check";

/** gRPC over one HTTP/2 connection, which is opened again when the server ends it. */
export class Http2Transport implements Transport {
  readonly #origin: string;
  readonly #sessions: Http2SessionManager;
  #isFound = false;
  #search: Promise<void> | undefined;

  constructor(url: URL, tls: SecureClientSessionOptions) {
    this.#origin = url.origin;
    const pings = { pingIntervalMs: SILENCE_MS, pingTimeoutMs: PING_TIMEOUT_MS };
    this.#sessions = new Http2SessionManager(url, pings, tls);
  }

  /** Connect; the first time, also find out whether a gRPC server is there, by a call that changes nothing. */
  async connect(signal: AbortSignal): Promise<void> {
    const state = await settled(this.#sessions.connect(), signal);
    if (state !== "idle" && state !== "open") {
      const cause = state === "error" ? this.#sessions.error() : signal.reason;
      throw new Lost(`no connection to ${this.#origin}: ${messageOf(cause)}`, false, false, cause);
    }
    if (!this.#isFound) {
      this.#search ??= this.#find().finally(() => (this.#search = undefined));
      await settled(this.#search, signal);
    }
  }

  async #find(): Promise<void> {
    try {
      const signal = AbortSignal.timeout(SEARCH_MS);
      await this.send({ path: HEALTH, headers: new Map(), body: frame([new Uint8Array()]), signal });
    } catch (error) {
      if (error instanceof Lost) {
        throw new Lost(`no gRPC server at ${this.#origin}: ${messageOf(error.cause)}`, false, false, error.cause);
      }
    }
    this.#isFound = true;
  }

  async send({ path, headers, body, signal }: Sending): Promise<Received> {
    const told = { "content-type": "application/grpc+proto", te: "trailers", ...Object.fromEntries(headers) };
    const stream = await this.#open(path, told, signal);
    const answer = await exchange(stream, body, signal, this.#origin, () => this.#sessions.notifyResponseByteRead(stream));
    requireGrpc(this.#origin + path, answer.status, answer.headers);
    try {
      return { headers: answer.headers, trailers: answer.trailers, message: unframe(answer.body).message };
    } catch (error) {
      throw new Lost(`a malformed answer from ${this.#origin}`, true, true, error);
    }
  }

  async #open(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<ClientHttp2Stream> {
    const opening = this.#sessions.request("POST", path, headers, {});
    opening.then(
      (stream) => signal.aborted && stream.destroy(),
      () => undefined,
    );
    try {
      const stream = await settled(opening, signal);
      if (stream !== undefined) {
        return stream;
      }
    } catch (error) {
      throw new Lost(`no connection to ${this.#origin}: ${messageOf(error)}`, false, false, error);
    }
    throw new Lost(`no connection to ${this.#origin} in time`, false, false, signal.reason);
  }

  close(): void {
    this.#sessions.abort();
  }
}

/** Wait for a promise, but no longer than the signal; undefined if that came first. */
function settled<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = () => resolve(undefined);
    if (signal.aborted) {
      stop();
    }
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

interface Answer {
  readonly status: number;
  readonly headers: Fields;
  readonly trailers: Fields;
  readonly body: Uint8Array;
}

/** Send a body on a stream and collect the answer; rejects with Lost if the stream ends before its trailers. */
function exchange(
  stream: ClientHttp2Stream,
  body: Uint8Array,
  signal: AbortSignal,
  origin: string,
  onBytes: () => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders | undefined;
    let trailers: IncomingHttpHeaders = {};
    let failed: unknown;
    let length = 0;
    const pieces: Uint8Array[] = [];
    const stop = () => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener("abort", stop, { once: true });
    stream.on("response", (came) => (headers = came));
    stream.on("trailers", (came) => (trailers = came));
    stream.on("error", (error) => (failed = error));
    stream.on("data", (piece: Uint8Array) => {
      onBytes();
      pieces.push(piece);
      length += piece.length;
      if (length > ANSWER_MAX) {
        stop();
      }
    });
    stream.on("close", () => {
      signal.removeEventListener("abort", stop);
      const isWhole = headers && (headers["grpc-status"] ?? trailers["grpc-status"]) !== undefined;
      if (headers && (isWhole || (stream.rstCode === constants.NGHTTP2_NO_ERROR && failed === undefined && !signal.aborted))) {
        const status = Number(headers[":status"]);
        resolve({ status, headers: mapped(headers), trailers: mapped(trailers), body: Buffer.concat(pieces) });
      } else {
        // A refused stream was not processed (RFC 9113 section 8.7): the call may be sent again, whatever it does.
        const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
        const why = isRefused ? "the server refused the stream" : "the connection broke before the answer";
        reject(new Lost(`no answer from ${origin}: ${why}`, !isRefused, true, failed ?? signal.reason));
      }
    });
    stream.end(body);
    if (signal.aborted) {
      stop();
    }
  });
}

function mapped(headers: IncomingHttpHeaders): Fields {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) {
      found.set(name, Array.isArray(value) ? value.join(",") : String(value));
    }
  }
  return found;
}

function messageOf(error: unknown): string {
  const first = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return first instanceof Error ? first.message : "the connection was closed";
}
