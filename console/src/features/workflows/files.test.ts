import { describe, expect, it } from "vitest";

import type { Schemas } from "@/api/client";

import { copyName, fileNameOf, parseFile, toFile, UnreadableFile } from "./files";

const NODES = [{ id: "in", type: "input", position: { x: 0, y: 0 }, config: {} }];

describe("a workflow as a file", () => {
  it("comes back as it was exported", () => {
    const workflow = {
      id: "1",
      name: "Report",
      description: "Daily",
      nodes: NODES,
      connections: [],
      timeout: 60,
    };
    const file = toFile({ ...workflow, maxQueueSeconds: null } as unknown as Schemas["Workflow"]);
    expect(file).not.toHaveProperty("id");
    expect(parseFile(JSON.stringify(file), "other")).toEqual(file);
  });

  it("takes files without a name or connections, and leaves out what is no part of a workflow", () => {
    expect(parseFile(JSON.stringify({ nodes: NODES, exampleInput: 1, timeout: "x" }), "my-file")).toEqual({
      name: "my-file",
      nodes: NODES,
      connections: [],
    });
  });

  it.each([
    ["no JSON", "is not JSON"],
    ["[]", "has no workflow"],
    ["null", "has no workflow"],
    ["{}", "no list of nodes"],
    ['{"nodes": [1]}', "no list of nodes"],
    ['{"nodes": [], "connections": {}}', "connections"],
  ])("refuses %s with a sentence", (text, words) => {
    expect(() => parseFile(text, "f")).toThrow(UnreadableFile);
    expect(() => parseFile(text, "f")).toThrow(words);
  });
});

describe("fileNameOf", () => {
  it.each([
    ["Answer a letter", "answer-a-letter.json"],
    ["Übersicht / 2026", "ubersicht-2026.json"],
    ["../../etc", "etc.json"],
    ["日本", "workflow.json"],
  ])("makes a safe name of %s", (name, file) => {
    expect(fileNameOf(name)).toBe(file);
  });
});

describe("copyName", () => {
  it("counts copies", () => {
    expect(copyName("Report", [])).toBe("Report (copy)");
    expect(copyName("Report", ["Report (copy)"])).toBe("Report (copy 2)");
    expect(copyName("Report (copy 2)", ["Report (copy)", "Report (copy 2)"])).toBe("Report (copy 3)");
  });

  it("stays within the longest name", () => {
    expect(copyName("x".repeat(200), [])).toHaveLength(200);
  });
});
