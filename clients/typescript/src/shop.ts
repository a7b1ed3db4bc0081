import type { DescMessage, DescMethod, DescService, Message, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { GenService, GenServiceMethods } from "@bufbuild/protobuf/codegenv2";
import type { Call, Rule } from "./calls.js";
import { Caller } from "./calls.js";
import { Deadline } from "./deadline.js";
import type { LoginRequest, LoginResponse } from "./gen/mercato/v1/auth_pb.js";
import { AuthService } from "./gen/mercato/v1/auth_pb.js";
import type { Items } from "./gen/rules.js";
import { AuthService as AUTH_RULES } from "./gen/rules.js";
import { newKey } from "./keys.js";
import { Pager } from "./pager.js";
import type { StoredSession, SessionStore } from "./sessions.js";
import { fixedSession, MemoryStore, Tokens } from "./sessions.js";
import type { Transport } from "./wire.js";
import { frame } from "./wire.js";

/** A service with the rules of its RPCs, as `gen/rules.ts` has them. */
export type Ruled<M extends GenServiceMethods> = readonly [GenService<M>, string];

/** The services of a client, by the names of its attributes. */
export type Services = Readonly<Record<string, Ruled<any>>>;

/** Options of a client. */
export interface ClientOptions<S extends Services> {
  /** An access token that is used as it is, for services that log in elsewhere. */
  readonly token?: string;
  /** Where the session of `login` is kept; in memory unless it is given. */
  readonly session?: SessionStore;
  /** Milliseconds that a call may take, with its retries and a refresh; 5,000 unless it is given. */
  readonly timeoutMs?: number;
  /** Headers of every call, such as `traceparent`. */
  readonly headers?: () => Readonly<Record<string, string>>;
  /** The services to have. A bundler leaves out the others. */
  readonly services?: S;
}

/** Options of one call. */
export interface CallOptions {
  /** Milliseconds that this call may take, all in all. */
  readonly timeoutMs?: number;
  /** Ends the call when it aborts. */
  readonly signal?: AbortSignal;
  /** The key of an earlier call whose outcome is unknown; each call has a new one otherwise. */
  readonly idempotencyKey?: string;
  /** Refuse the change if the resource has another etag. */
  readonly etag?: string;
  /** More headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer with what came beside it. */
export interface Answer<T> {
  readonly message: T;
  /** Id of the request in the server's logs. */
  readonly requestId: string;
  /** Whether the shop had done this before, and repeats its answer. */
  readonly replayed: boolean;
}

type IsPaged<O extends Message> = O["$typeName"] extends keyof Items ? true : false;
type ListOf<O extends Message> = O["$typeName"] extends keyof Items ? O[Items[O["$typeName"]] & keyof O] : never;
type ItemOf<O extends Message> = ListOf<O> extends readonly (infer I)[] ? I : never;

type Sent<T, Wrapped extends boolean> = Wrapped extends true ? Answer<T> : T;
type Init<I extends DescMessage> = MessageInitShape<I>;

/** The function of an RPC. A paged one returns a Pager, and one with a body in pieces takes them in turn. */
export type Method<M extends GenServiceMethods[string], Wrapped extends boolean> = M extends {
  methodKind: "client_streaming";
}
  ? (
      requests: Iterable<Init<M["input"]>> | AsyncIterable<Init<M["input"]>>,
      options?: CallOptions,
    ) => Promise<Sent<MessageShape<M["output"]>, Wrapped>>
  : IsPaged<MessageShape<M["output"]>> extends true
    ? (
        request?: Init<M["input"]>,
        options?: CallOptions,
      ) => Pager<ItemOf<MessageShape<M["output"]>>, Sent<MessageShape<M["output"]>, Wrapped>>
    : (request?: Init<M["input"]>, options?: CallOptions) => Promise<Sent<MessageShape<M["output"]>, Wrapped>>;

/** The functions of a service. */
export type Stub<R, Wrapped extends boolean = false> = R extends Ruled<infer M>
  ? { readonly [K in keyof M]: Method<M[K], Wrapped> }
  : never;

/** The services of a client. */
export type Stubs<S extends Services, Wrapped extends boolean = false> = { readonly [K in keyof S]: Stub<S[K], Wrapped> };

/** What a client has beside its services. */
export interface Account<S extends Services> {
  /** Open a session, and use it from now on. */
  login(email: string, password: string, more?: Partial<Pick<LoginRequest, "guestToken" | "cartMerge">>): Promise<LoginResponse>;
  /** Use the session of an answer from now on, such as that of `auth.createGuest`. */
  use(login: LoginResponse): Promise<void>;
  /** End the session, here and at the shop. */
  logout(): Promise<void>;
  /** Return the tokens in use; undefined without a login. */
  session(): Promise<StoredSession | undefined>;
  /** The same services, whose functions return an Answer. */
  readonly withResponse: Stubs<S, true>;
  /** End the connection; later calls fail with CLIENT_CLOSED. */
  close(): void;
}

/** A client of a shop. */
export type Shop<S extends Services> = Stubs<S> & Account<S>;

const TIMEOUT_MS = 5000;

/** Make a client over a transport. */
export function shopOver<S extends Services>(transport: Transport, services: S, options: ClientOptions<S>, agent: Record<string, string>): Shop<S> {
  const caller = new Caller(transport);
  const bare = new Calls(caller, undefined, options, agent);
  const [refreshRule, loginRule, logoutRule] = ["Refresh", "Login", "Logout"].map((name) => ruleOf(AUTH_RULES, name)) as [Rule, Rule, Rule];
  const auth = AuthService.method;
  // A refresh whose answer was lost may be sent again: for ten seconds the shop gives the same next token.
  const exchange = async (refreshToken: string) =>
    (await bare.unary(auth.refresh, { ...refreshRule, retries: true }, { refreshToken }, {})).message as LoginResponse;
  const store = options.session ?? new MemoryStore(options.token === undefined ? undefined : fixedSession(options.token));
  const tokens = new Tokens(store, exchange);
  const calls = new Calls(caller, tokens, options, agent);
  const account: Account<S> = {
    async login(email, password, more = {}) {
      const answer = await calls.unary(auth.login, loginRule, { ...more, email, password }, {});
      const login = answer.message as LoginResponse;
      await tokens.use(login);
      return login;
    },
    use: (login) => tokens.use(login),
    async logout() {
      await calls.unary(auth.logout, logoutRule, {}, {});
      await tokens.clear();
    },
    session: () => tokens.load(),
    withResponse: stubsOf<S, true>(services, calls, (answer) => answer),
    close: () => caller.close(),
  };
  return Object.assign(stubsOf<S, false>(services, calls, (answer) => answer.message), account) as Shop<S>;
}

/** The fields of a request, or a message. */
type Request = Record<string, unknown>;

/** Makes requests of messages, and messages of answers. */
class Calls {
  readonly #caller: Caller;
  readonly #tokens: Tokens | undefined;
  readonly #timeoutMs: number;
  readonly #headers: () => Readonly<Record<string, string>>;
  readonly #agent: Record<string, string>;

  constructor(caller: Caller, tokens: Tokens | undefined, options: ClientOptions<Services>, agent: Record<string, string>) {
    this.#caller = caller;
    this.#tokens = tokens;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#headers = options.headers ?? (() => ({}));
    this.#agent = agent;
  }

  unary(method: DescMethod, rule: Rule, request: Request, options: CallOptions): Promise<Answer<Message>> {
    const body = toBinary(method.input, create(method.input, request));
    return this.#send(method, rule, async () => [body], options);
  }

  pieces(method: DescMethod, rule: Rule, requests: AsyncIterable<Request> | Iterable<Request>, options: CallOptions): Promise<Answer<Message>> {
    const encode = (request: Request) => toBinary(method.input, create(method.input, request));
    return this.#send(method, rule, (deadline) => collected(requests, encode, deadline), options);
  }

  async #send(method: DescMethod, rule: Rule, bodies: (deadline: Deadline) => Promise<Uint8Array[]>, options: CallOptions): Promise<Answer<Message>> {
    const deadline = new Deadline(options.timeoutMs ?? this.#timeoutMs, options.signal);
    try {
      const call: Call = {
        path: `/${method.parent.typeName}/${method.name}`,
        rule,
        body: frame(await bodies(deadline)),
        key: options.idempotencyKey ?? (rule.takesKey ? newKey() : ""),
        headers: { ...this.#agent, ...this.#headers(), ...(options.etag === undefined ? {} : { "if-match": quoted(options.etag) }), ...options.headers },
      };
      const { message, headers } = await this.#caller.call(call, deadline, this.#tokens);
      return {
        message: fromBinary(method.output, message ?? new Uint8Array()),
        requestId: headers.get("x-request-id") ?? "",
        replayed: headers.get("idempotent-replayed") === "true",
      };
    } finally {
      deadline.end();
    }
  }
}

/** Collect the pieces of a body, but no longer than the deadline, with which the call then fails. */
async function collected(
  requests: AsyncIterable<Request> | Iterable<Request>,
  encode: (request: Request) => Uint8Array,
  deadline: Deadline,
): Promise<Uint8Array[]> {
  const bodies: Uint8Array[] = [];
  const source = Symbol.asyncIterator in requests ? requests[Symbol.asyncIterator]() : requests[Symbol.iterator]();
  const end = async () => source.return?.();
  try {
    while (deadline.leftMs > 0) {
      const next = await deadline.race(Promise.resolve(source.next()));
      if (next.done) {
        return bodies;
      }
      bodies.push(encode(next.value));
    }
  } catch (error) {
    if (!deadline.signal.aborted) {
      await end();
      throw error;
    }
  }
  end().catch(() => undefined); // a source that hangs is not waited for
  return bodies;
}

function quoted(etag: string): string {
  return /^(W\/)?"|^\*$/.test(etag) ? etag : `"${etag}"`;
}

type Unwrap = (answer: Answer<Message>) => unknown;

function stubsOf<S extends Services, W extends boolean>(services: S, calls: Calls, unwrap: Unwrap): Stubs<S, W> {
  const stubs: Record<string, unknown> = {};
  for (const [name, [service, rules]] of Object.entries(services)) {
    stubs[name] = Object.fromEntries(
      (service as DescService).methods.map((method) => [method.localName, functionOf(method, ruleOf(rules, method.name), calls, unwrap)]),
    );
  }
  return stubs as Stubs<S, W>;
}

function functionOf(method: DescMethod, rule: Rule, calls: Calls, unwrap: Unwrap): unknown {
  if (method.methodKind === "client_streaming") {
    return async (requests: Iterable<Request>, options: CallOptions = {}) => unwrap(await calls.pieces(method, rule, requests, options));
  }
  const items = itemsOf(method);
  if (items === undefined) {
    return async (request: Request = {}, options: CallOptions = {}) => unwrap(await calls.unary(method, rule, request, options));
  }
  return (request: Request = {}, options: CallOptions = {}) => {
    const send = (more: Request) => calls.unary(method, rule, { ...request, ...more }, options);
    return new Pager(send, items, "skip" in method.input.field, unwrap);
  };
}

/** Return the field of an RPC's response that has a page's items, the first list; undefined if it has no pages. */
function itemsOf(method: DescMethod): string | undefined {
  const isPaged = "pageToken" in method.input.field && "nextPageToken" in method.output.field;
  return isPaged ? method.output.fields.find((field) => field.fieldKind === "list")?.localName : undefined;
}

/** Return the rule of an RPC. `rules` is a text such as `GetCart:lrt AddCartItem:klt`. */
export function ruleOf(rules: string, name: string): Rule {
  const flags = rules.split(" ").find((rule) => rule.startsWith(`${name}:`))?.slice(name.length + 1) ?? "";
  const [reads, takesKey, needsLogin, retries] = [..."rklt"].map((flag) => flags.includes(flag)) as [boolean, boolean, boolean, boolean];
  return { reads, takesKey, needsLogin, retries };
}
