"""The story through PgBouncer in transaction mode, on PostgreSQL 15 in another time zone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devstack import control
from devstack.app_client import AppClient
from tests.support.servers.pgbouncer import pool_before_postgres_15
from tests.support.stack.running import running_stack
from tests.test_story import (
    app,
    test_a_cancel_stops_an_agent_that_hangs,
    test_a_new_user_runs_the_content_analysis_and_pays_its_receipt,
    test_every_node_with_every_provider_works_without_a_logged_error,
    test_killing_every_worker_in_mid_run_loses_and_repeats_nothing,
)

__all__ = [
    "app",
    "test_a_cancel_stops_an_agent_that_hangs",
    "test_a_new_user_runs_the_content_analysis_and_pays_its_receipt",
    "test_every_node_with_every_provider_works_without_a_logged_error",
    "test_killing_every_worker_in_mid_run_loses_and_repeats_nothing",
]
pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, server_directory: Path) -> Iterator[control.RunningStack]:
    """The whole stack with no other way to its database than the pool."""
    with (
        pool_before_postgres_15(server_directory) as pool,
        running_stack(tmp_path_factory.mktemp("stack"), DATABASE_URL=pool.url()) as stack,
    ):
        yield stack


def test_charts_begin_at_the_hour_in_utc(app: AppClient):
    usage = app.call("GET", "/usage/stats?period=day")
    assert usage["series"][-1]["start"] == f"{datetime.now(UTC):%Y-%m-%dT%H}:00:00Z"
