/** What the address of a run's screen says: which part is shown, and which step is open. */

export const TABS = ["steps", "log", "data", "receipt"] as const;
export type Tab = (typeof TABS)[number];

export interface RunSearch {
  tab?: Tab;
  step?: string;
  /** The iteration of the step that is open. */
  path?: string;
}

export function isTab(value: unknown): value is Tab {
  return TABS.some((tab) => tab === value);
}

export function readRunSearch(search: Record<string, unknown>): RunSearch {
  return {
    ...(isTab(search.tab) ? { tab: search.tab } : {}),
    ...(typeof search.step === "string" ? { step: search.step } : {}),
    ...(isPath(search.path) ? { path: String(search.path) } : {}),
  };
}

/** Iterations such as "3" and "3.0" are read as numbers from an address without quotes. */
function isPath(path: unknown): path is string | number {
  return (typeof path === "string" || typeof path === "number") && /^\d+(\.\d+)*$/.test(String(path));
}
