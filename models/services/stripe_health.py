"""How it stands with Stripe, from our rows alone: the API never asks Stripe itself.

The probe is the reconciliation of events, which asks Stripe for a list every five minutes and leaves a row.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

SILENT = 900.0  # seconds without an answer: three probes in a row
BEHIND = 300.0  # seconds that a request or an event may wait before somebody should look

_STANDING = text("""
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
class StripeStanding:
    """Seconds since Stripe answered, requests that fail and for how long, the age of the oldest open event."""

    answered_seconds: float | None
    last_probe: str | None
    failing_requests: int
    failing_seconds: float | None
    oldest_event_seconds: float | None

    @property
    def status(self) -> str:
        """`down`: no answer for a quarter of an hour, or the last probe and a request fail; `late`: work is left lying.

        `unknown`: Stripe was never asked yet.
        """
        fails = self.last_probe == "incomplete"
        if fails and (self.failing_requests or (self.answered_seconds or SILENT) >= SILENT):
            return "down"
        if self.last_probe is None and not self.failing_requests:
            return "unknown"
        is_silent = self.answered_seconds is not None and self.answered_seconds >= SILENT
        waits = max(self.failing_seconds or 0.0, self.oldest_event_seconds or 0.0)
        return "late" if fails or is_silent or waits > BEHIND else "up"


def standing(session: Session) -> StripeStanding:
    """How it stands now; every part is found by an index."""
    return StripeStanding(*session.execute(_STANDING).one())
