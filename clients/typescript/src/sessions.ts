import type { LoginResponse } from "./gen/mercato/v1/auth_pb.js";
import type { Deadline } from "./deadline.js";
import { isMercatoError } from "./errors.js";

/** The tokens of a login. Keep them as safely as a password. */
export interface StoredSession {
  readonly accessToken: string;
  /** Empty for an access token alone, which is never exchanged. */
  readonly refreshToken: string;
  /** When the access token expires, in milliseconds since 1970 by this machine's clock. */
  readonly expiresAt: number;
  /** When it is exchanged for the next, in the same unit. */
  readonly refreshAt: number;
}

/** A place for a session, which several clients may share. */
export interface SessionStore {
  load(): Promise<StoredSession | undefined>;
  /** Keep a session; it must be safe when the promise resolves, because the one before is spent. */
  save(session: StoredSession): Promise<void>;
  clear(): Promise<void>;
  /** Run a task while no other client of the same store runs one. */
  exclusive<T>(task: () => Promise<T>): Promise<T>;
}

/** Keeps a session for one client, as long as it lives. */
export class MemoryStore implements SessionStore {
  #session: StoredSession | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(session?: StoredSession) {
    this.#session = session;
  }

  async load(): Promise<StoredSession | undefined> {
    return this.#session;
  }

  async save(session: StoredSession): Promise<void> {
    this.#session = session;
  }

  async clear(): Promise<void> {
    this.#session = undefined;
  }

  exclusive<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#last.then(task);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

const EARLY_MS = 60_000;
/** After a refresh that failed, the next comes so much later while the token is valid. */
const PAUSE_MS = 1000;

/** Return the session of a login's answer. */
export function sessionOf(login: LoginResponse, now = Date.now()): StoredSession {
  const lifetimeMs = login.expiresIn * 1000;
  return {
    accessToken: login.accessToken,
    refreshToken: login.refreshToken,
    expiresAt: now + lifetimeMs,
    refreshAt: now + Math.max(lifetimeMs - EARLY_MS, lifetimeMs / 2),
  };
}

/** Return a session that has an access token and nothing to renew it with. */
export function fixedSession(accessToken: string): StoredSession {
  return { accessToken, refreshToken: "", expiresAt: Number.POSITIVE_INFINITY, refreshAt: Number.POSITIVE_INFINITY };
}

/** The session of a client: one refresh at a time for all calls, and outside of their cancellation. */
export class Tokens {
  readonly #store: SessionStore;
  readonly #exchange: (refreshToken: string) => Promise<LoginResponse>;
  #current: StoredSession | undefined;
  #refreshing: Promise<StoredSession | undefined> | undefined;
  #pausedUntil = 0;

  constructor(store: SessionStore, exchange: (refreshToken: string) => Promise<LoginResponse>) {
    this.#store = store;
    this.#exchange = exchange;
  }

  /** Return the access token for a call. One that is about to expire serves while the next is fetched. */
  async current(deadline: Deadline): Promise<string | undefined> {
    this.#current ??= await deadline.race(this.#store.load());
    const session = this.#current;
    const now = Date.now();
    if (session === undefined || session.refreshToken === "" || now < session.refreshAt) {
      return session?.accessToken;
    }
    if (now >= session.expiresAt) {
      return (await deadline.race(this.#refresh(session)))?.accessToken;
    }
    if (now >= this.#pausedUntil) {
      this.#refresh(session).catch(() => undefined); // the call that needs the next token fails with it
    }
    return session.accessToken;
  }

  /** Return another token than one that was refused; undefined if there is none. */
  async instead(refused: string, deadline: Deadline): Promise<string | undefined> {
    const session = this.#current;
    if (session === undefined || session.accessToken !== refused) {
      return session?.accessToken;
    }
    if (session.refreshToken === "") {
      return undefined;
    }
    return (await deadline.race(this.#refresh(session)))?.accessToken;
  }

  /** Use the session of a login from now on. */
  async use(login: LoginResponse): Promise<void> {
    const session = sessionOf(login);
    await this.#store.exclusive(() => this.#store.save(session));
    this.#current = session;
  }

  async load(): Promise<StoredSession | undefined> {
    this.#current ??= await this.#store.load();
    return this.#current;
  }

  async clear(): Promise<void> {
    await this.#store.exclusive(() => this.#store.clear());
    this.#current = undefined;
  }

  #refresh(stale: StoredSession): Promise<StoredSession | undefined> {
    this.#refreshing ??= this.#store
      .exclusive(() => this.#renewed(stale))
      .catch((error: unknown) => {
        this.#pausedUntil = Date.now() + PAUSE_MS;
        throw error;
      })
      .finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  /** Exchange the stored session, unless another client has done so. The next one is saved before a call uses it. */
  async #renewed(stale: StoredSession): Promise<StoredSession | undefined> {
    const stored = await this.#store.load();
    if (stored === undefined || stored.accessToken !== stale.accessToken) {
      this.#current = stored;
      return stored;
    }
    try {
      const next = sessionOf(await this.#exchange(stored.refreshToken));
      await this.#store.save(next);
      this.#current = next;
      return next;
    } catch (error) {
      if (isMercatoError(error) && error.serverReason === "REFRESH_TOKEN_INVALID") {
        await this.#store.clear();
        this.#current = undefined;
      }
      throw error;
    }
  }
}
