/** Saving a form over a schedule that may have been changed since the form opened. */
import { ChangedMeanwhile, changeSchedule, type Settings, type Stored } from "./queries";

/** What the form of a schedule asks for; the switch is not in it. */
export type Filled = Omit<Settings, "enabled">;

/** What is stored by now, and the fields in which it has what somebody else wrote. */
export interface Conflict {
  stored: Stored;
  fields: readonly (keyof Filled)[];
}

const FIELDS = ["cron", "timeZone", "name", "input", "maxCredits"] as const;

/** What somebody else changed from `known` to `stored`, and saving `mine` would change again. */
export function overwritten(mine: Filled, known: Filled, stored: Filled): (keyof Filled)[] {
  return FIELDS.filter(
    (field) => !isSame(stored[field], known[field]) && !isSame(stored[field], mine[field]),
  );
}

/**
 * Save what the form has over the schedule that its user knows; or save nothing, and return the conflict, if that would
 * overwrite what somebody else changed. A switch that was turned meanwhile, by hand or after refusals, stays so.
 */
export async function saveOver(known: Stored, mine: Filled): Promise<Conflict | null> {
  try {
    await changeSchedule(known, changesOf(mine, known));
  } catch (error) {
    if (!(error instanceof ChangedMeanwhile)) throw error;
    const { stored } = error;
    const fields = overwritten(mine, known.schedule, stored.schedule);
    if (fields.length > 0) return { stored, fields };
    await changeSchedule(stored, changesOf(mine, stored));
  }
  return null;
}

/** An input that is stored already is not sent: JavaScript may have read its numbers less exactly than they are. */
function changesOf(mine: Filled, { schedule }: Stored): Partial<Settings> {
  const { input, ...settings } = mine;
  return isSame(input, schedule.input) ? settings : mine;
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
