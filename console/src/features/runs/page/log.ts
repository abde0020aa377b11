/** Which entries of a run's log are shown. */
import type { LogEntry } from "@/api/runs";

export interface LogFilter {
  text: string;
  level: "all" | "problems";
}

/** Entries in which the text occurs, in message, node or type; problems are warnings and errors. */
export function shownEntries(
  entries: readonly LogEntry[],
  { text, level }: LogFilter,
  labels: ReadonlyMap<string, string>,
): readonly LogEntry[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "" && level === "all") return entries;
  return entries.filter((entry) => {
    if (level === "problems" && entry.level !== "warning" && entry.level !== "error") return false;
    const label = entry.nodeId ? (labels.get(entry.nodeId) ?? entry.nodeId) : "";
    return `${entry.message}\n${label}\n${entry.type}`.toLowerCase().includes(wanted);
  });
}

/** The log as text, a line for each entry. */
export function asText(entries: readonly LogEntry[]): string {
  return entries
    .map(({ at, level, nodeId, path, message }) => {
      const place = nodeId ? ` ${nodeId}${path ? `[${path}]` : ""}` : "";
      return `${at} ${level.toUpperCase()}${place} ${message.replaceAll("\n", " ")}\n`;
    })
    .join("");
}
