import { describe, expect, it } from "vitest";

import { type LogEntry, withEntries } from "@/api/runs";

import { asText, shownEntries } from "./log";

function entry(seq: number, message: string, more: Partial<LogEntry> = {}): LogEntry {
  const at = "2026-11-30T12:00:00Z";
  return {
    seq,
    message,
    at,
    type: "node.success",
    level: "info",
    nodeId: null,
    path: "",
    data: null,
    ...more,
  };
}

const LABELS = new Map([["mail", "Send a mail"]]);
const LOG = [
  entry(1, "The run started."),
  entry(2, "Done", { nodeId: "mail" }),
  entry(3, "It failed.", { level: "error", nodeId: "mail", path: "2" }),
];

describe("shownEntries", () => {
  const seqs = (text: string, level: "all" | "problems" = "all") =>
    shownEntries(LOG, { text, level }, LABELS).map(({ seq }) => seq);

  it("shows the same list when nothing is filtered, so that nothing is drawn again", () => {
    expect(shownEntries(LOG, { text: " ", level: "all" }, LABELS)).toBe(LOG);
  });

  it("finds words in messages, and the names of nodes", () => {
    expect(seqs("STARTED")).toEqual([1]);
    expect(seqs("send a")).toEqual([2, 3]);
    expect(seqs("nothing")).toEqual([]);
  });

  it("keeps problems alone", () => {
    expect(seqs("", "problems")).toEqual([3]);
  });
});

describe("withEntries", () => {
  it("leaves out what is there already", () => {
    expect(withEntries(LOG, [entry(3, "again"), entry(4, "new")]).map(({ seq }) => seq)).toEqual([
      1, 2, 3, 4,
    ]);
  });
});

describe("asText", () => {
  it("has a line for each entry", () => {
    expect(asText([entry(3, "a\nb", { level: "error", nodeId: "mail", path: "2" })])).toBe(
      "2026-11-30T12:00:00Z ERROR mail[2] a b\n",
    );
  });
});
