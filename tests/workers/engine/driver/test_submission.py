"""One user's flood does not block others: further runs are deferred, and enqueued when a slot is free."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from models.db import session_scope
from models.rules.prices.pricing import PLANS, Priority, Tier
from models.services.executions import executions
from models.services.orchestration import leases, redelivery
from models.services.orchestration.submission import QUEUED_PER_SLOT
from models.tables import Execution, User
from tests.support import factories
from tests.support.database.statements import recorded_statements
from tests.support.engine.bench import Bench, call
from workers.engine.driver.outcomes import DriveResult

ROOM = PLANS[Tier.FREE].concurrent_runs


def claim(execution_id: UUID) -> bool:
    with session_scope() as session:
        return leases.claim(session, execution_id, owner="worker", seconds=30) is not None


def enqueued_after(execution_id: UUID) -> list[tuple[UUID, Priority]]:
    return [(run.execution_id, run.priority) for run in redelivery.next_after(execution_id)]


def test_no_more_runs_of_a_user_are_driven_than_the_tier_allows(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 2)]
    assert [claim(run) for run in runs] == [True] * ROOM + [False] * 2
    assert bench.execution(runs[-1]).status == "queued"


def test_claims_of_a_small_tier_at_once_stay_within_it(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(2 * ROOM)]
    with ThreadPoolExecutor(len(runs)) as pool:
        claimed = list(pool.map(lambda run: leases.claim_alone(run, owner="worker", seconds=30), runs))
    assert sum(lease is not None for lease in claimed) == ROOM
    assert bench.sql("SELECT count(*) FROM workflow_executions WHERE status = 'running'") == ROOM


def test_a_claim_in_a_small_tier_is_two_messages_to_the_database(bench: Bench):
    run = bench.submit([call("a")])
    with recorded_statements() as statements:
        assert leases.claim_alone(run, owner="worker", seconds=30)
    assert len(statements) == 2  # each is a transaction of its own
    assert "pg_advisory_xact_lock" in statements[1][0]


def submit(user_id: UUID, workflow_id: UUID) -> Execution:
    with session_scope() as session:
        return executions.submit(session, session.get_one(User, user_id), workflow_id)


def test_of_a_flood_only_the_first_runs_are_queued_and_each_end_adds_one(bench: Bench):
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        workflow_id = factories.workflow(session, owner, graph={"nodes": [call("a")], "connections": []}).id
    runs = [submit(bench.user_id, workflow_id) for _ in range(4 * ROOM)]
    deferred = [run.deferred_at is not None for run in runs]
    assert deferred == [False] * QUEUED_PER_SLOT * ROOM + [True] * (4 - QUEUED_PER_SLOT) * ROOM
    messages = [run.id for run in runs if not run.deferred_at]
    while messages:
        assert bench.runtime.drive(messages[0]) is DriveResult.ENDED
        messages += [run.execution_id for run in redelivery.next_after(messages.pop(0))]
    assert {bench.execution(run.id).status for run in runs} == {"success"}
    assert submit(bench.user_id, workflow_id).deferred_at is None


def test_a_run_does_not_overtake_its_owners_deferred_runs(bench: Bench):
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        workflow_id = factories.workflow(session, owner).id
    first = submit(bench.user_id, workflow_id)
    bench.sql("UPDATE workflow_executions SET deferred_at = now() WHERE id = :id", id=first.id)
    assert submit(bench.user_id, workflow_id).deferred_at is not None
    with session_scope() as session:
        other = factories.user(session)
        workflow_id = factories.workflow(session, other).id
    assert submit(other.id, workflow_id).deferred_at is None


def test_another_user_is_not_kept_waiting(bench: Bench):
    for _ in range(ROOM + 5):
        claim(bench.submit([call("a")]))
    with session_scope() as session:
        other = factories.execution(session, factories.workflow(session, factories.user(session))).id
    assert claim(other)


def test_many_claims_at_once_do_not_pass_the_limit(bench: Bench):
    bench.world.on("a", bench.world.hang)
    runs = [bench.submit([call("a")]) for _ in range(ROOM * 3)]
    waits = [bench.in_background(run) for run in runs]
    bench.world.arrived.wait(10)
    bench.world.release.set()
    ended = [wait() for wait in waits]
    assert ended.count(DriveResult.ENDED) >= ROOM
    assert bench.world.most_at_once <= ROOM


def test_skipped_runs_are_next_the_oldest_first(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 2)]
    for run in runs:
        claim(run)
    assert enqueued_after(runs[0]) == [(runs[ROOM], Priority.LOW)]
    assert enqueued_after(runs[0]) == [(runs[ROOM + 1], Priority.LOW)]
    assert redelivery.next_after(runs[0]) == []


def test_the_sweep_finds_a_free_slot_without_a_message(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 2)]
    for run in runs:
        claim(run)
    assert forgotten() == []
    bench.sql(
        "UPDATE workflow_executions SET status = 'failed', finished_at = now(), lease_expires_at = NULL WHERE id = :id",
        id=runs[0],
    )
    bench.sql("UPDATE credit_holds SET status = 'released', settled_at = now() WHERE execution_id = :id", id=runs[0])
    bench.sql("UPDATE credits SET held = held - 100 WHERE user_id = :id", id=bench.user_id)
    assert forgotten() == [runs[ROOM]]


def test_a_run_whose_first_message_is_lost_is_soon_enqueued_again(bench: Bench):
    """As when the broker is away at the moment when the run before it ends."""
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 1)]
    for run in runs:
        claim(run)
    assert enqueued_after(runs[0]) == [(runs[ROOM], Priority.LOW)]
    assert enqueued_again(bench, after=redelivery.FIRST_REDELIVERY_SECONDS - 1) == []
    assert enqueued_again(bench, after=2) == [runs[ROOM]]
    assert enqueued_again(bench, after=redelivery.REDELIVERY_SECONDS - 1) == []
    assert enqueued_again(bench, after=2) == [runs[ROOM]]


def enqueued_again(bench: Bench, *, after: float) -> list[UUID]:
    """The runs that a sweep finds so many seconds later."""
    bench.sql("UPDATE workflow_executions SET enqueued_at = enqueued_at - make_interval(secs => :after)", after=after)
    with session_scope() as session:
        return [run.execution_id for run in redelivery.stalled(session)]


def test_deferred_runs_are_not_enqueued_repeatedly(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 1)]
    for run in runs:
        claim(run)
    bench.sql("UPDATE workflow_executions SET created_at = now() - interval '1 hour'")
    with session_scope() as session:
        assert redelivery.stalled(session) == []


def forgotten() -> list[UUID]:
    with session_scope() as session:
        return [run.execution_id for run in redelivery.unclaimed_slots(session)]
