import type { StoredSession, SessionStore } from "./sessions.js";

const STORE = "sessions";

/**
 * Keeps a session for all tabs of an origin: one of them exchanges the tokens, and the others take the next ones from here.
 *
 * It is in IndexedDB, whose commits every tab sees before it gets the lock (localStorage does not promise that). Every script of the origin can
 * read it there. Use the memory of a tab, as without a store, if that is too much.
 */
export class TabStore implements SessionStore {
  readonly #name: string;
  #database: Promise<IDBDatabase> | undefined;

  /** `name` tells the sessions of several shops on one origin apart. */
  constructor(name = "mercato") {
    this.#name = name;
  }

  load(): Promise<StoredSession | undefined> {
    return this.#run("readonly", (sessions) => sessions.get(this.#name));
  }

  async save(session: StoredSession): Promise<void> {
    await this.#run("readwrite", (sessions) => sessions.put(session, this.#name));
  }

  async clear(): Promise<void> {
    await this.#run("readwrite", (sessions) => sessions.delete(this.#name));
  }

  /** Web Locks exist on pages with TLS, and on localhost. */
  async exclusive<T>(task: () => Promise<T>): Promise<T> {
    return (await navigator.locks.request(`mercato-session ${this.#name}`, task)) as T;
  }

  async #run<T>(mode: IDBTransactionMode, act: (sessions: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    this.#database ??= opened();
    const transaction = (await this.#database).transaction(STORE, mode, { durability: "strict" });
    const request = act(transaction.objectStore(STORE));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("mercato", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
