/** Values of the API as elements: times, credits and money. */
import { useEffect, useState } from "react";

import { formatCents, formatCredits, formatDate, formatRelative, formatSpan, formatTime } from "./format";

const MINUTE_MS = 60_000;

/** A time in the viewer's zone; shown relative to now unless `exact`, with the whole time as its title. */
export function Time({
  value,
  exact = false,
}: {
  value: string | null | undefined;
  exact?: boolean | "date";
}) {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    if (exact) return;
    const timer = setInterval(() => setNow(new Date()), MINUTE_MS);
    return () => clearInterval(timer);
  }, [exact]);
  if (!value) return <>–</>;
  const time = new Date(value);
  const shown = exact === "date" ? formatDate(time) : exact ? formatTime(time) : formatRelative(time, now);
  return (
    <time dateTime={value} title={formatTime(time)}>
      {shown}
    </time>
  );
}

/** A span between two times, to the minute, with the whole times as its title. */
export function TimeSpan({ from, to }: { from: string; to: string }) {
  const [first, last] = [new Date(from), new Date(to)];
  return <span title={`${formatTime(first)} – ${formatTime(last)}`}>{formatSpan(first, last)}</span>;
}

/** Credits, exact to the last decimal. */
export function Credits({ value, unit = false }: { value: number | string; unit?: boolean }) {
  return (
    <span className="tabular">
      {formatCredits(value)}
      {unit ? " credits" : ""}
    </span>
  );
}

/** Money, exact to the cent. */
export function Money({ cents, currency = "usd" }: { cents: number; currency?: string }) {
  return <span className="tabular">{formatCents(cents, currency)}</span>;
}
