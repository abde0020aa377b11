"""The gallery of workflows to start from."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.execute("""
        CREATE TABLE templates (
            id uuid DEFAULT gen_random_uuid() NOT NULL,
            slug varchar(80) NOT NULL,
            name varchar(200) NOT NULL,
            description text DEFAULT '' NOT NULL,
            category varchar(40) NOT NULL,
            graph jsonb NOT NULL,
            owner_id uuid,
            published boolean DEFAULT false NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_templates PRIMARY KEY (id),
            CONSTRAINT uq_templates_slug UNIQUE (slug),
            CONSTRAINT fk_templates_owner_id_users FOREIGN KEY (owner_id) REFERENCES users (id)
        )
    """)
    op.execute("CREATE INDEX ix_templates_gallery ON templates (created_at DESC, id DESC) WHERE published")
    op.execute("CREATE INDEX ix_templates_owned ON templates (owner_id) WHERE owner_id IS NOT NULL")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE templates")
