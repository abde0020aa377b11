/** The data with which a person tries nodes, kept in this browser until the session ends here. */
const PREFIX = "pins ";
const MAX_CHARACTERS = 200_000; // of one node; larger data are there until the page is left

type Pins = Readonly<Record<string, string>>;

const nameOf = (workflowId: string, nodeId: string) => `${PREFIX}${workflowId} ${nodeId}`;

export function pinsOf(workflowId: string, nodeId: string): Pins {
  try {
    const kept = JSON.parse(localStorage.getItem(nameOf(workflowId, nodeId)) ?? "{}") as unknown;
    const entries = typeof kept === "object" && kept !== null ? Object.entries(kept) : [];
    return Object.fromEntries(
      entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    );
  } catch {
    return {};
  }
}

export function keepPins(workflowId: string, nodeId: string, pins: Pins): void {
  const name = nameOf(workflowId, nodeId);
  const text = JSON.stringify(pins);
  try {
    if (Object.keys(pins).length === 0 || text.length > MAX_CHARACTERS) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {
    localStorage.removeItem(name); // the browser's storage is full
  }
}

/** Whoever signs in next here must not see them. */
export function forgetPins(): void {
  for (const name of Object.keys(localStorage)) if (name.startsWith(PREFIX)) localStorage.removeItem(name);
}
