"""The story of `test_story` once more with RabbitMQ as its broker, and what people see of its queues."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from devstack import control
from devstack.app_client import AppClient
from devstack.processes.process import wait_until
from tasks.probes.broker import BrokerProbe
from tasks.queue import QueueName
from tests.support.servers.rabbitmq import RabbitMq
from tests.support.stack.running import execution_workers, running_stack
from tests.test_story import (
    app,
    finished,
    test_a_cancel_stops_an_agent_that_hangs,
    test_a_new_user_runs_the_content_analysis_and_pays_its_receipt,
    test_flower_asks_for_its_password,
    test_killing_every_worker_in_mid_run_loses_and_repeats_nothing,
)

__all__ = [
    "app",
    "test_a_cancel_stops_an_agent_that_hangs",
    "test_a_new_user_runs_the_content_analysis_and_pays_its_receipt",
    "test_flower_asks_for_its_password",
    "test_killing_every_worker_in_mid_run_loses_and_repeats_nothing",
]
pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    with RabbitMq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, rabbit: RabbitMq) -> Iterator[control.RunningStack]:
    """The whole stack, whose messages go through RabbitMQ."""
    with running_stack(tmp_path_factory.mktemp("stack"), BROKER_URL=rabbit.url()) as stack:
        yield stack


def health(stack: control.RunningStack) -> dict:
    try:
        with urllib.request.urlopen(f"{stack.addresses['api']}/health", timeout=10) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return json.loads(error.read())


def test_every_queue_has_workers_that_receive_their_own_echo(stack: control.RunningStack):
    def is_up() -> bool:
        found = health(stack)
        return found["broker"] == "up" and {queue["status"] for queue in found["queues"].values()} == {"up"}

    wait_until(is_up, seconds=180, otherwise=lambda: str(health(stack)))
    assert health(stack)["unresponsiveWorkers"] == 0


def test_flower_sees_the_workers(stack: control.RunningStack):
    login = f"{stack.addresses['flower_user']}:{stack.addresses['flower_password']}"
    asked = urllib.request.Request(f"{stack.addresses['flower']}/api/workers?refresh=1")
    asked.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert len(json.loads(answer.read())) >= 2


def test_requests_accepted_without_rabbitmq_are_done_once_it_is_back(
    app: AppClient, stack: control.RunningStack, rabbit: RabbitMq
):
    workflow = app.save("Waits", {"nodes": [{"id": "a", "type": "output", "label": "A"}], "connections": []})
    look = BrokerProbe(stack.addresses["redis"], rabbit.url())
    assert set(look.lengths()) == set(QueueName)
    rabbit.stop()
    assert not look.is_up()
    assert look.lengths() == {}
    assert look.redis_is_up()
    execution_id = app.execute(workflow["id"], "x")
    assert health(stack)["broker"] == "down"
    rabbit.start()
    assert finished(app, execution_id)["status"] == "success"
    assert execution_workers(stack.pid)
