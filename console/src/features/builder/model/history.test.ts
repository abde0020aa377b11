import { describe, expect, it } from "vitest";

import { edited, historyOf, redone, undone } from "./history";

describe("history", () => {
  it("undoes and redoes", () => {
    const history = edited(edited(historyOf("a"), "b", 0), "c", 1);
    expect(undone(history).present).toBe("b");
    expect(undone(undone(history)).present).toBe("a");
    expect(redone(undone(history)).present).toBe("c");
  });

  it("does nothing at its ends", () => {
    const history = historyOf("a");
    expect(undone(history)).toBe(history);
    expect(redone(history)).toBe(history);
    expect(edited(history, "a", 0)).toBe(history);
  });

  it("takes edits of one text that follow quickly as one", () => {
    let history = historyOf("");
    for (const [at, text] of ["h", "he", "hey"].entries()) history = edited(history, text, at * 100, "label");
    expect(undone(history).present).toBe("");
    history = edited(history, "hey you", 60_000, "label");
    expect(undone(history).present).toBe("hey");
  });

  it("keeps different texts apart, and forgets what was undone once there is another edit", () => {
    const history = edited(edited(historyOf("a"), "b", 0, "one"), "c", 1, "two");
    expect(undone(history).present).toBe("b");
    const other = edited(undone(history), "d", 2);
    expect(redone(other)).toBe(other);
  });

  it("has a limit", () => {
    let history = historyOf(0);
    for (let step = 1; step <= 500; step += 1) history = edited(history, step, step);
    expect(history.past).toHaveLength(200);
  });
});
