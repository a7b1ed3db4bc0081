import type { Message } from "@bufbuild/protobuf";

/** An answer as the calls make it. */
interface Sent {
  readonly message: Message;
  readonly requestId: string;
  readonly replayed: boolean;
}

/** The pages of a list: `for await` gets item after item, and asks for the next page when it needs it. */
export class Pager<Item, Page> implements AsyncIterable<Item> {
  readonly #send: (more: Record<string, unknown>) => Promise<Sent>;
  readonly #items: string;
  readonly #skips: boolean;
  readonly #unwrap: (answer: Sent) => unknown;

  /** Made by the functions of a client. */
  constructor(
    send: (more: Record<string, unknown>) => Promise<Sent>,
    items: string,
    /** Whether the request can skip items, which only the first page does. */
    skips: boolean,
    unwrap: (answer: Sent) => unknown,
  ) {
    this.#send = send;
    this.#items = items;
    this.#skips = skips;
    this.#unwrap = unwrap;
  }

  /** Return one page: that of the request's `pageToken`, or the first. */
  async page(): Promise<Page> {
    return this.#unwrap(await this.#send({})) as Page;
  }

  /** Yield page after page. */
  async *pages(): AsyncGenerator<Page, void, undefined> {
    for await (const answer of this.#answers()) {
      yield this.#unwrap(answer) as Page;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    for await (const { message } of this.#answers()) {
      yield* (message as unknown as Record<string, Item[]>)[this.#items] ?? [];
    }
  }

  async *#answers(): AsyncGenerator<Sent, void, undefined> {
    let more: Record<string, unknown> = {};
    for (;;) {
      const answer = await this.#send(more);
      yield answer;
      const { nextPageToken } = answer.message as unknown as { nextPageToken: string };
      if (nextPageToken === "" || nextPageToken === more["pageToken"]) {
        return;
      }
      more = { pageToken: nextPageToken, ...(this.#skips ? { skip: 0 } : {}) };
    }
  }
}
