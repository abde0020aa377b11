/** What the address of a run's screen says: which part is shown, and which step is open. */

export const TABS = ["steps", "log", "data", "receipt"] as const;
export type Tab = (typeof TABS)[number];

export interface RunSearch {
  tab?: Tab;
  step?: string;
}

export function isTab(value: unknown): value is Tab {
  return TABS.some((tab) => tab === value);
}

export function readRunSearch(search: Record<string, unknown>): RunSearch {
  return {
    ...(isTab(search.tab) ? { tab: search.tab } : {}),
    ...(typeof search.step === "string" ? { step: search.step } : {}),
  };
}
