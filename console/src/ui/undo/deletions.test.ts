import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Deletions } from "./deletions";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function newDeletions() {
  const failures: string[] = [];
  const deletions = new Deletions((id) => failures.push(id));
  return { deletions, failures };
}

describe("Deletions", () => {
  it("hides at once, and deletes later", async () => {
    const { deletions } = newDeletions();
    const remove = vi.fn(() => Promise.resolve());
    deletions.schedule("a", remove, 5000);
    expect(deletions.ids).toEqual(new Set(["a"]));
    await vi.advanceTimersByTimeAsync(4999);
    expect(remove).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(remove).toHaveBeenCalledOnce();
    expect(deletions.ids).toEqual(new Set());
  });

  it("keeps what is undone", async () => {
    const { deletions } = newDeletions();
    const remove = vi.fn(() => Promise.resolve());
    deletions.schedule("a", remove, 5000);
    expect(deletions.undo("a")).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(remove).not.toHaveBeenCalled();
    expect(deletions.ids).toEqual(new Set());
    expect(deletions.undo("a")).toBe(false);
  });

  it("deletes at once, and one time, when the page is left", async () => {
    const { deletions } = newDeletions();
    const remove = vi.fn(() => Promise.resolve());
    deletions.schedule("a", remove, 5000);
    deletions.flush();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(remove).toHaveBeenCalledOnce();
  });

  it("shows again what could not be deleted, and says so", async () => {
    const { deletions, failures } = newDeletions();
    deletions.schedule("a", () => Promise.reject(new Error("no")), 5000);
    await vi.advanceTimersByTimeAsync(5000);
    expect(failures).toEqual(["a"]);
    expect(deletions.ids).toEqual(new Set());
  });

  it("tells its listeners, until they stop", () => {
    const { deletions } = newDeletions();
    const listener = vi.fn();
    const stop = deletions.subscribe(listener);
    deletions.schedule("a", () => Promise.resolve(), 5000);
    stop();
    deletions.undo("a");
    expect(listener).toHaveBeenCalledOnce();
  });
});
