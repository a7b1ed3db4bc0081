/** The time that a call may take, all its attempts, waits and refreshes together. */
export class Deadline {
  readonly #ends: number;
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #caller: AbortSignal | undefined;
  readonly #stop = () => this.#controller.abort(this.#caller?.reason);

  constructor(timeoutMs: number, caller: AbortSignal | undefined) {
    this.#ends = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => this.#controller.abort(new Error(`${timeoutMs} ms have passed`)), timeoutMs);
    this.#caller = caller;
    caller?.addEventListener("abort", this.#stop, { once: true });
    if (caller?.aborted) {
      this.#stop();
    }
  }

  /** Aborts at the end, or when the caller gives up. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the caller has given up. */
  get isCancelled(): boolean {
    return this.#caller?.aborted ?? false;
  }

  /** Milliseconds that are left. */
  get leftMs(): number {
    return this.signal.aborted ? 0 : Math.max(0, this.#ends - performance.now());
  }

  /** Wait for a promise; rejects with the reason of the signal if that aborts first. The promise goes on. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = () => reject(this.signal.reason);
      if (this.signal.aborted) {
        stop();
      }
      this.signal.addEventListener("abort", stop, { once: true });
      promise.then(resolve, reject).finally(() => this.signal.removeEventListener("abort", stop));
    });
  }

  /** Wait so long; rejects as `race`. */
  async sleep(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await this.race(new Promise<void>((resolve) => (timer = setTimeout(resolve, ms))));
    } finally {
      clearTimeout(timer);
    }
  }

  /** End the timer, once the call is over. */
  end(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#stop);
  }
}
