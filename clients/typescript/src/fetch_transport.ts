import type { Received, Sending, Transport } from "./wire.js";
import { ANSWER_MAX, Lost, requireGrpc, unframe } from "./wire.js";

/** gRPC-Web by `fetch`, for browsers. */
export class FetchTransport implements Transport {
  readonly #base: string;

  constructor(url: URL) {
    this.#base = url.origin;
  }

  /** `fetch` tells nothing of connections. */
  async connect(): Promise<void> {}

  async send({ path, headers, body, signal }: Sending): Promise<Received> {
    const url = this.#base + path;
    const told: [string, string][] = [
      ["content-type", "application/grpc-web+proto"],
      ["x-grpc-web", "1"],
      ["accept", "application/grpc-web+proto"],
      ...headers,
    ];
    let answer: Response;
    let content: Uint8Array;
    try {
      answer = await fetch(url, {
        method: "POST",
        headers: told,
        body,
        signal,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
      content = await readAll(answer);
    } catch (error) {
      throw new Lost(`no answer from ${this.#base}`, true, false, error);
    }
    const received = new Map(answer.headers);
    requireGrpc(url, answer.status, received);
    try {
      return { headers: received, ...unframe(content) };
    } catch (error) {
      throw new Lost(`a malformed answer from ${this.#base}`, true, true, error);
    }
  }

  close(): void {}
}

async function readAll(answer: Response): Promise<Uint8Array> {
  if (Number(answer.headers.get("content-length")) > ANSWER_MAX) {
    await answer.body?.cancel();
    throw new Error("the answer is too long");
  }
  return new Uint8Array(await answer.arrayBuffer());
}
