"""Who works, who hears, and which queues are worked off."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables: a row per worker process, and one per queue."""
    op.execute("""
        CREATE TABLE workers (
            name varchar(200) NOT NULL,
            process varchar(200) NOT NULL,
            queues jsonb NOT NULL,
            pace double precision NOT NULL,
            is_full boolean DEFAULT false NOT NULL,
            started_at timestamptz DEFAULT now() NOT NULL,
            seen_at timestamptz DEFAULT now() NOT NULL,
            heard_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_workers PRIMARY KEY (name)
        )
    """)
    op.execute("""
        CREATE TABLE canaries (
            queue varchar(60) NOT NULL,
            ran_at timestamptz DEFAULT now() NOT NULL,
            worker varchar(200) NOT NULL,
            CONSTRAINT pk_canaries PRIMARY KEY (queue)
        )
    """)


def downgrade() -> None:
    """Nobody looks."""
    op.execute("DROP TABLE canaries")
    op.execute("DROP TABLE workers")
