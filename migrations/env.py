"""Runs the migrations: one migrator at a time, and none that waits long for a lock while everybody queues behind it."""

from alembic import context
from sqlalchemy import Connection, NullPool, create_engine, text

from models import (
    access_key,
    api_call,
    audit,
    credit,
    execution,
    figures,
    idempotency,
    invoice,
    notification,
    password_reset,
    payment_method,
    provider_key,
    purchase,
    quarantine,
    receipt,
    reconciliation,
    refund,
    storage,
    stripe_event,
    stripe_request,
    subscription,
    template,
    user,
    user_session,
    worker,
    workflow,
)
from models.base import Base
from models.db import driver_url
from settings import Settings

TABLES = (  # importing them fills the metadata
    *(access_key, password_reset, user, user_session),
    *(api_call, audit, credit, execution, idempotency, provider_key, template, worker, workflow),
    *(invoice, notification, payment_method, purchase, quarantine, receipt, reconciliation, refund),
    *(figures, storage, stripe_event, stripe_request, subscription),
)
ONE_AT_A_TIME = 4_190_871_336  # the advisory lock of this project's migrators


def address() -> str:
    """Where to migrate: what a caller put into the config, `-x url=...`, or the environment's DATABASE_URL."""
    given = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get("url")
    return driver_url(given or Settings.from_env().database_url)


def migrate(connection: Connection) -> None:
    """Run what is asked for, each revision in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Take the migrators' lock for as long as the connection lives, then migrate."""
    engine = create_engine(address(), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ONE_AT_A_TIME})
        patience = context.config.attributes.get("lock_timeout", "5s")
        connection.execute(text("SELECT set_config('lock_timeout', :patience, false)"), {"patience": patience})
        connection.commit()
        migrate(connection)


main()
