/** How often a schedule runs, as its form asks for it, and the cron expression that says so. */

export type Recurrence =
  | { kind: "hourly"; minute: number }
  | { kind: "daily" | "weekdays"; time: string }
  | { kind: "weekly"; time: string; day: string }
  | { kind: "monthly"; time: string; date: string }
  | { kind: "custom"; cron: string };

export type Kind = Recurrence["kind"];

export const KINDS: readonly { value: Kind; label: string }[] = [
  { value: "hourly", label: "Every hour" },
  { value: "daily", label: "Every day" },
  { value: "weekdays", label: "Monday to Friday" },
  { value: "weekly", label: "Every week" },
  { value: "monthly", label: "Every month" },
  { value: "custom", label: "A cron expression" },
];

export const DAYS: readonly { value: string; label: string }[] = [
  { value: "1", label: "Monday" },
  { value: "2", label: "Tuesday" },
  { value: "3", label: "Wednesday" },
  { value: "4", label: "Thursday" },
  { value: "5", label: "Friday" },
  { value: "6", label: "Saturday" },
  { value: "0", label: "Sunday" },
];

const EVERY_MONTH_UNTIL = 28; // later dates are missing in some months

export const DATES: readonly { value: string; label: string }[] = [
  ...Array.from({ length: EVERY_MONTH_UNTIL }, (_, index) => String(index + 1)).map((date) => ({
    value: date,
    label: date,
  })),
  { value: "L", label: "the last day" },
];

/** The cron expression; an unfinished time gives one that the API refuses. */
export function cronOf(recurrence: Recurrence): string {
  switch (recurrence.kind) {
    case "hourly":
      return `${recurrence.minute} * * * *`;
    case "daily":
      return `${clockOf(recurrence.time)} * * *`;
    case "weekdays":
      return `${clockOf(recurrence.time)} * * 1-5`;
    case "weekly":
      return `${clockOf(recurrence.time)} * * ${recurrence.day}`;
    case "monthly":
      return `${clockOf(recurrence.time)} ${recurrence.date} * *`;
    case "custom":
      return recurrence.cron.trim();
  }
}

/** What the form shows for an expression: one of its own kinds if it is written like that. */
export function recurrenceOf(cron: string): Recurrence {
  const [minute = "", hour = "", date = "", month = "", day = "", ...rest] = cron.trim().split(/\s+/);
  const custom: Recurrence = { kind: "custom", cron };
  if (month !== "*" || rest.length > 0 || !isNumber(minute, 59)) return custom;
  if (hour === "*" && date === "*" && day === "*") return { kind: "hourly", minute: Number(minute) };
  if (!isNumber(hour, 23)) return custom;
  const time = `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
  if (date === "*") {
    if (day === "*") return { kind: "daily", time };
    if (day === "1-5" || day.toUpperCase() === "MON-FRI") return { kind: "weekdays", time };
    return DAYS.some(({ value }) => value === day) ? { kind: "weekly", time, day } : custom;
  }
  return day === "*" && DATES.some(({ value }) => value === date) ? { kind: "monthly", time, date } : custom;
}

/** The recurrence of another kind that keeps what both kinds have; a custom one begins with the expression so far. */
export function changeKind(recurrence: Recurrence, kind: Kind): Recurrence {
  const time = "time" in recurrence ? recurrence.time : "07:00";
  switch (kind) {
    case "hourly":
      return { kind, minute: 0 };
    case "daily":
    case "weekdays":
      return { kind, time };
    case "weekly":
      return { kind, time, day: "1" };
    case "monthly":
      return { kind, time, date: "1" };
    case "custom":
      return { kind, cron: cronOf(recurrence) };
  }
}

function clockOf(time: string): string {
  const [hour = "", minute = ""] = time.split(":");
  return `${Number.parseInt(minute, 10)} ${Number.parseInt(hour, 10)}`;
}

function isNumber(text: string, most: number): boolean {
  return /^\d{1,2}$/.test(text) && Number(text) <= most;
}
