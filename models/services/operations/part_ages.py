"""When periodic work last succeeded, for health checks."""

from sqlalchemy import text
from sqlalchemy.orm import Session

# Each is found by an index, because this answers a public route.
_AGES = text("""
    SELECT 'reconciliation.' || kind AS part,
           extract(epoch FROM now() - (SELECT max(created_at) FROM reconciliation_runs
                                        WHERE kind = kinds.kind AND status = 'done' AND NOT dry_run))::float AS age
      FROM unnest(ARRAY['events', 'purchases', 'objects']) AS kinds(kind)
     UNION ALL
    SELECT 'backup', extract(epoch FROM now() - (SELECT max(created_at) FROM audit_log
                                                  WHERE action = 'database.backed_up'))::float
""")


def ages(session: Session) -> dict[str, float | None]:
    """Seconds since the last success by part: each kind of reconciliation, and the backup; None if there was none."""
    return {row.part: row.age for row in session.execute(_AGES)}
