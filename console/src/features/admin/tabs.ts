/** The parts of the administrators' screen, in their order. */
export const TABS = {
  business: "Business",
  users: "Users",
  queues: "Queues",
  letters: "Dead letters",
  reconciliations: "Reconciliations",
  alerts: "Alerts",
  reports: "Reports",
} as const;

export type Tab = keyof typeof TABS;

export function isTab(value: unknown): value is Tab {
  return typeof value === "string" && value in TABS;
}
