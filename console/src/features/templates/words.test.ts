import { describe, expect, it } from "vitest";

import { categoryName, estimateWord, nodesWord, readGallerySearch, usesWord } from "./words";

describe("words about templates", () => {
  it("says counts as people do", () => {
    expect([nodesWord(1), nodesWord(1200)]).toEqual(["1 node", "1,200 nodes"]);
    expect([usesWord(0), usesWord(1), usesWord(2)]).toEqual(["not used yet", "used once", "used 2 times"]);
  });

  it("says estimates in minutes and hours", () => {
    expect([estimateWord(null), estimateWord(5), estimateWord(90)]).toEqual([
      null,
      "about 5 min",
      "about 2 h",
    ]);
  });

  it("begins categories with a capital", () => {
    expect([categoryName("data"), categoryName("Übersetzung"), categoryName("")]).toEqual([
      "Data",
      "Übersetzung",
      "",
    ]);
  });
});

describe("readGallerySearch", () => {
  it("keeps what it knows", () => {
    expect(readGallerySearch({ category: "data", own: true, other: 1 })).toEqual({
      category: "data",
      own: true,
    });
    expect(readGallerySearch({ category: "", own: "yes" })).toEqual({});
  });
});
