/** Numbers as the API counts them: credits with at most two decimals, money in whole cents. Nothing is rounded. */

/** Digits in groups with at least two decimals, from the decimal string itself: 1234.5 is "1,234.50". */
export function formatDecimal(value: number | string): string {
  const [, sign = "", whole = "0", fraction = ""] =
    /^([-+]?)(\d+)(?:\.(\d+))?$/.exec(decimalString(value)) ?? [];
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return `${sign === "-" ? "−" : ""}${grouped}.${fraction.padEnd(2, "0")}`;
}

function decimalString(value: number | string): string {
  const text = String(value);
  // Numbers below 1e-6 have an exponent as texts; credits have two decimals, so such a number is a zero.
  return text.includes("e-") ? "0" : text;
}

export function formatCredits(value: number | string): string {
  return formatDecimal(value);
}

const SYMBOLS: Record<string, string> = { usd: "$", eur: "€", gbp: "£" };

/** Money of a currency with two decimals, from whole cents. */
export function formatCents(cents: number, currency = "usd"): string {
  const digits = String(Math.abs(Math.trunc(cents))).padStart(3, "0");
  const amount = formatDecimal(`${digits.slice(0, -2)}.${digits.slice(-2)}`);
  const symbol = SYMBOLS[currency.toLowerCase()];
  const sign = cents < 0 ? "−" : "";
  return symbol ? `${sign}${symbol}${amount}` : `${sign}${amount} ${currency.toUpperCase()}`;
}

/** A count with groups of three digits. */
export function formatCount(value: number): string {
  return new Intl.NumberFormat("en").format(value);
}

export function formatPercent(value: number): string {
  return `${new Intl.NumberFormat("en", { maximumFractionDigits: 1 }).format(value)}%`;
}

/** Seconds for people: "12 ms", "0.4 s", "12 s", "3 min 5 s", "2 h 10 min". */
export function formatDuration(seconds: number): string {
  if (seconds > 0 && seconds < 0.0995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${new Intl.NumberFormat("en", { maximumFractionDigits: 1 }).format(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600)
    return [`${Math.floor(whole / 60)} min`, whole % 60 && `${whole % 60} s`].filter(Boolean).join(" ");
  const minutes = Math.round(whole / 60);
  return [`${Math.floor(minutes / 60)} h`, minutes % 60 && `${minutes % 60} min`].filter(Boolean).join(" ");
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** How long ago or ahead a time is: "3 minutes ago", "in 2 days", "just now". */
export function formatRelative(time: Date, now = new Date()): string {
  const seconds = (time.getTime() - now.getTime()) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) {
      return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
    }
  }
  return "just now";
}

/** A time in the viewer's zone, with the zone's name. */
export function formatTime(time: Date): string {
  return new Intl.DateTimeFormat("en", {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
    timeZoneName: "short",
  }).format(time);
}

/** The time zone of the viewer, by its name in the IANA database. */
export function viewersZone(): string {
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  return timeZone === "Etc/Unknown" ? "UTC" : timeZone; // as browsers say where the machine has none
}

/** The month of a time, by its name. */
export function formatMonth(time: Date): string {
  return new Intl.DateTimeFormat("en", { month: "long" }).format(time);
}

/** From one time to another, to the minute: "Nov 30, 14:02 – 14:31". */
export function formatSpan(from: Date, to: Date): string {
  return new Intl.DateTimeFormat("en", {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatRange(from, to);
}

export function formatDate(time: Date): string {
  return new Intl.DateTimeFormat("en", { year: "numeric", month: "short", day: "numeric" }).format(time);
}
