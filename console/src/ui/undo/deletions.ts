/** Deletions that wait a little, so that they can be undone: what is deleted disappears at once, and is gone later. */

interface Pending {
  timer: ReturnType<typeof setTimeout>;
  remove: () => Promise<unknown>;
}

type Failed = (id: string, error: unknown) => void;

export class Deletions {
  #pending = new Map<string, Pending>();
  #listeners = new Set<() => void>();
  #ids: ReadonlySet<string> = new Set();

  constructor(private readonly onFailure: Failed) {}

  /** The ids of what waits to be deleted, or is being deleted: the same set until it changes. */
  get ids(): ReadonlySet<string> {
    return this.#ids;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Call `remove` after `afterMs`, unless it is undone before. */
  schedule(id: string, remove: () => Promise<unknown>, afterMs: number): void {
    this.undo(id);
    const timer = setTimeout(() => void this.#run(id), afterMs);
    this.#pending.set(id, { timer, remove });
    this.#show(new Set([...this.#ids, id]));
  }

  /** Keep it after all; false if it is too late. */
  undo(id: string): boolean {
    const pending = this.#pending.get(id);
    if (!pending) return false;
    clearTimeout(pending.timer);
    this.#pending.delete(id);
    this.#show(without(this.#ids, id));
    return true;
  }

  /** Delete everything that waits now, because the page is being left. */
  flush(): void {
    for (const id of [...this.#pending.keys()]) void this.#run(id);
  }

  async #run(id: string): Promise<void> {
    const pending = this.#pending.get(id);
    if (!pending) return;
    clearTimeout(pending.timer);
    this.#pending.delete(id);
    try {
      await pending.remove();
    } catch (error) {
      this.onFailure(id, error);
    } finally {
      this.#show(without(this.#ids, id));
    }
  }

  #show(ids: ReadonlySet<string>): void {
    this.#ids = ids;
    for (const listener of this.#listeners) listener();
  }
}

function without(ids: ReadonlySet<string>, id: string): ReadonlySet<string> {
  return new Set([...ids].filter((other) => other !== id));
}
