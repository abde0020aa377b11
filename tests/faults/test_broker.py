"""Redis that dies, forgets or hangs, and task messages that come too often, too late or never: rows are the truth."""

import http.client
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.error import URLError
from uuid import UUID, uuid4

import pytest
import redis
from celery import Celery
from kombu import Queue

from devstack.app_client import AppClient
from devstack.fault_proxy import running_fault_proxy
from models.services.orchestration.redelivery import REDELIVERY_SECONDS
from tasks.queue import QueueName, TaskName
from tests.support import factories
from tests.support.faults.phones import ask, phone
from tests.support.faults.programs import eventually, measured
from tests.support.faults.world import World
from tests.support.servers.rabbitmq import RabbitMq

pytestmark = pytest.mark.faults


class TestRedisAway:
    @pytest.mark.parametrize("loss", ["nothing", "all of its data"])
    def test_submissions_go_on_without_it_and_work_after_its_return(self, world: World, loss: str):
        worker, (api, url) = world.worker(hooked=False), world.api()
        api.ready()
        worker.ready()
        tag = f"redis-{len(loss)}"
        app, workflow = phone(world, url, tag, delay=1)
        under_way = app.execute(workflow, None)
        world.outside.await_call(f"{tag}/a")
        world.redis.kill()
        accepted = [app.execute(workflow, None) for _ in range(3)]
        assert {world.status(UUID(run)) for run in accepted} == {"queued"}
        eventually(lambda: world.over(UUID(under_way)))  # what is driven needs no broker
        if loss != "nothing":
            world.redis.forget()
        world.redis.start()
        world.beat()
        begun = time.monotonic()
        world.finish(*map(UUID, accepted), sweep=False)
        measured(f"redis lost {loss}: {time.monotonic() - begun:.1f} s from its return to the last of three runs")
        assert world.outside.times(f"{tag}/") == {f"{tag}/a": 4}

    def test_flushed_it_loses_nothing_either(self, world: World):
        runs = world.submit_many([world.call("a", tag="flush")], number=20)
        with redis.Redis.from_url(world.redis.url()) as client:
            client.flushall()
        world.worker(hooked=False).ready()
        world.beat()
        world.finish(*runs, sweep=False)
        assert world.outside.times("flush/") == {"flush/a": 20}


class TestRedisHangs:
    def test_frozen_it_delays_requests_only_briefly(self, world: World):
        """Connections to it stay open, and nothing is answered."""
        worker, apis = world.worker(hooked=False), [world.api(), world.api()]
        for program in (worker, *(program for program, _ in apis)):
            program.ready()
        app, workflow = phone(world, apis[0][1], "frozen", delay=1)
        phones = [AppClient(url, app.token) for _, url in apis]
        submit = partial(timed, path=f"/workflows/{workflow}/execute", body=b"{}")
        under_way = app.execute(workflow, None)
        world.outside.await_call("frozen/a")
        os.kill(world.redis.pid, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(20) as many:
                submits = list(many.map(submit, phones * 4))
                reads = list(many.map(timed, phones * 10))
            eventually(lambda: world.over(UUID(under_way)))  # what is driven needs no broker
        finally:
            os.kill(world.redis.pid, signal.SIGCONT)
        slowest = [max(seconds for _, seconds in answers) for answers in (submits, reads)]
        measured(f"a frozen redis: submits {slowest[0]:.1f} s at most, reads {slowest[1]:.1f} s")
        assert {status for status, _ in submits} <= {202, 503}
        assert {status for status, _ in reads} == {200}
        assert max(slowest) < 15
        world.beat()
        runs = world.sql("SELECT id FROM workflow_executions WHERE workflow_id = %s", workflow)
        assert len(runs) == 1 + sum(status == 202 for status, _ in submits)
        none_is_late = REDELIVERY_SECONDS - 5  # as one is whose message is lost though its row says that it was sent
        world.finish(*[UUID(run) for (run,) in runs], sweep=False, seconds=none_is_late)
        assert world.outside.times("frozen/") == {"frozen/a": len(runs)}


def timed(app: AppClient, path: str = "/workflows", body: bytes | None = None) -> tuple[int, float]:
    """The status of one request, and its seconds."""
    begun = time.monotonic()
    return ask(app, path, body)[0], time.monotonic() - begun


class TestLostMessage:
    def test_the_sweep_enqueues_a_run_whose_api_was_killed_after_commit(self, world: World):
        worker, (api, url) = world.worker(hooked=False), world.api(app="tests.support.faults.api_app:app")
        beat = world.beat()
        for program in (worker, api, beat):
            program.ready()
        app, workflow = phone(world, url, "late")
        world.arm("publishing")
        with pytest.raises((URLError, ConnectionError, http.client.HTTPException)):
            app.execute(workflow, None)
        assert world.taken("publishing")
        ((run,),) = world.sql("SELECT id FROM workflow_executions WHERE workflow_id = %s", workflow)
        world.finish(UUID(run), sweep=False)
        statement = "SELECT extract(epoch FROM started_at - created_at)::float FROM workflow_executions WHERE id = %s"
        waited = world.sql(statement, run)[0][0]
        measured(f"published after {waited:.1f} s")
        assert waited < 20  # ten until a message is late, five until the next sweep, and a busy machine
        assert app.call("GET", "/health")["database"] == "up"  # gunicorn has replaced the process


class TestMessages:
    def test_doubled_reordered_and_ancient_ones_have_no_effect(self, world: World):
        for worker in (world.worker(hooked=False), world.worker(hooked=False)):
            worker.ready()
        ended = world.submit([world.call("a", tag="ended")])
        world.finish(ended)
        parked = world.submit(
            [factories.node("q", "approval", config={"message": "?"}), world.call("a", tag="parked")], "q>a"
        )
        eventually(lambda: world.status(parked) == "waiting")
        busy = world.submit([world.call("a", tag="busy", delay=2)])
        world.outside.await_call("busy/a")
        before = [world.run(run) for run in (ended, parked)]
        messages = [ended, parked, busy, uuid4()] * 50
        random.shuffle(messages)
        for message in messages:
            world.enqueue(message)
        world.finish(busy)
        last = world.submit([world.call("a", tag="last")])
        world.finish(last)  # all bells were heard, for they hang in one queue
        assert [world.run(run) for run in (ended, parked)] == before
        assert world.run(busy)["epoch"] == 1
        for tag in ("ended", "busy", "last"):
            assert world.outside.times(f"{tag}/") == {f"{tag}/a": 1}
        world.sql("UPDATE workflow_executions SET cancel_requested_at = now(), wake_at = now() WHERE id = %s", parked)
        world.finish(parked)


class TestUnresponsive:
    def test_a_worker_with_a_half_open_broker_connection_exits_or_recovers(self, world: World):
        """And its work is taken over meanwhile: whichever comes first, kombu's own check or the ear's."""
        with running_fault_proxy(world.redis.port) as proxy:
            through = world.redis.url("0").replace(f":{world.redis.port}/", f":{proxy.port}/")
            deaf = world.worker(hooked=False, env={"REDIS_URL": through}).ready()
            assert proxy.freeze_present() > 0
            begun = time.monotonic()
            run = world.submit([world.call("a", tag="deaf")], publish=False)
            healthy = world.worker(hooked=False).ready()
            world.beat()
            world.finish(run, sweep=False)
            taken_over = time.monotonic() - begun
            assert healthy.alive
            connections = proxy.connections
            eventually(lambda: not deaf.alive or proxy.connections > connections, 150)
            measured(f"work taken over after {taken_over:.1f} s; deaf for {time.monotonic() - begun:.0f} s")

    def test_a_worker_reconnects_to_a_rabbitmq_that_went_silent(self, world: World, tmp_path: Path):
        """Its own probe comes too late here: without time-outs Celery waits for the end of its old connections."""
        with RabbitMq(tmp_path / "rabbitmq") as rabbit, running_fault_proxy(rabbit.port) as proxy:
            through = rabbit.url().replace(f":{rabbit.port}/", f":{proxy.port}/")
            worker = world.worker(hooked=False, env={"BROKER_URL": through, "PRESENCE_SECONDS": "60"}).ready()
            assert proxy.freeze_present() > 0
            begun = time.monotonic()
            run = world.submit([world.call("a", tag="silent")], publish=False)
            with Celery(broker=rabbit.url(), set_as_current=False) as outside:
                queue = Queue(QueueName.EXECUTIONS_NORMAL.value)
                outside.send_task(TaskName.DRIVE_EXECUTION.value, kwargs={"execution_id": str(run)}, queue=queue)
            eventually(lambda: world.over(run), 90)
            measured(f"rabbitmq silent: reconnected after {time.monotonic() - begun:.1f} s")
            assert worker.alive
