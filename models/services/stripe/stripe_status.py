"""The health of Stripe, from our rows only, because the API does not call Stripe.

The reconciliation of events serves as a probe: it calls Stripe every five minutes and leaves a row.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

SILENT = 900.0  # seconds without a successful probe, which are three probes in a row
BEHIND = 300.0  # seconds that a request may fail or an event may wait before the state is `late`

_STATUS = text("""
    SELECT extract(epoch FROM now() - (
               SELECT max(created_at) FROM reconciliation_runs
                WHERE kind = 'events' AND status = 'done' AND NOT dry_run))::float AS answered,
           (SELECT status FROM reconciliation_runs
             WHERE kind = 'events' AND status <> 'running' ORDER BY created_at DESC LIMIT 1) AS last_probe,
           (SELECT count(*) FROM stripe_requests
             WHERE status IN ('pending', 'working') AND last_error IS NOT NULL) AS failing,
           extract(epoch FROM now() - (
               SELECT min(created_at) FROM stripe_requests
                WHERE status IN ('pending', 'working') AND last_error IS NOT NULL))::float AS failing_for,
           extract(epoch FROM now() - (
               SELECT min(received_at) FROM stripe_events
                WHERE status IN ('received', 'waiting')))::float AS oldest_event
""")


@dataclass(frozen=True)
class StripeStatus:
    """Seconds since Stripe last responded, failing requests and since when, and the age of the oldest open event."""

    answered_seconds: float | None
    last_probe: str | None
    failing_requests: int
    failing_seconds: float | None
    oldest_event_seconds: float | None

    @property
    def status(self) -> str:
        """`up`, `late`, `down` or `unknown`.

        `down`: the last probe failed, and there are failing requests or no success for a quarter of an hour. `late`: a
        probe failed or is missing, or work waits too long. `unknown`: Stripe was never called.
        """
        fails = self.last_probe == "incomplete"
        if fails and (self.failing_requests or (self.answered_seconds or SILENT) >= SILENT):
            return "down"
        if self.last_probe is None and not self.failing_requests:
            return "unknown"
        is_silent = self.answered_seconds is not None and self.answered_seconds >= SILENT
        waits = max(self.failing_seconds or 0.0, self.oldest_event_seconds or 0.0)
        return "late" if fails or is_silent or waits > BEHIND else "up"


def stripe_status(session: Session) -> StripeStatus:
    """The current health; every part is found by an index."""
    return StripeStatus(*session.execute(_STATUS).one())
