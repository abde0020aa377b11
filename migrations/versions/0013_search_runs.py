"""Tags of runs, and an index for finding runs by their error, their tags and the name of their workflow."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INDEX = "ix_workflow_executions_searched"
# Only runs with an error or tags are in the index. The owner's id is one of the words, so that a search reads the
# entries of its owner only.
RUNS = "error IS NOT NULL OR tags IS NOT NULL"
WORDS = (
    "(((array_to_tsvector(ARRAY['owner '::text || user_id::text])"
    " || to_tsvector('simple'::regconfig, workflow_name::text))"
    " || to_tsvector('simple'::regconfig, COALESCE(error, '{}'::jsonb)))"
    " || to_tsvector('simple'::regconfig, COALESCE(tags, '[]'::jsonb)))"
)


def upgrade() -> None:
    """Add the column, and build the index while runs go on."""
    op.add_column("workflow_executions", sa.Column("tags", JSONB))
    with op.get_context().autocommit_block():
        op.create_index(
            INDEX,
            "workflow_executions",
            [sa.text(WORDS)],
            postgresql_using="gin",
            postgresql_where=sa.text(RUNS),
            postgresql_with={"fastupdate": "off"},
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    """Drop both."""
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "workflow_executions", postgresql_concurrently=True)
    op.drop_column("workflow_executions", "tags")
