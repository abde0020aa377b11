"""Statements that go to the driver as they are behave as those that SQLAlchemy sends."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from models.db import PREPARED, SessionFactory, new_engine, session_scope, single_statement_scope
from models.raw_statement import READS_ALONE, PreparedStatement, RawStatement, columns, copied, loaded
from models.rules.executions.states import ExecutionStatus
from models.tables import Execution
from tests.support import factories
from tests.support.faults.programs import eventually

RUN = RawStatement(select(*columns(Execution)))


class TestRows:
    def test_are_copied_into_what_the_orm_would_have_made(self, session: Session) -> None:
        run = factories.execution(session, input={"city": "Oslo"}, status=ExecutionStatus.FAILED)
        copy = copied(Execution, *RUN.rows(session, {}))
        session.refresh(run)
        names = [attribute.key for attribute in inspect(Execution).column_attrs]
        found, expected = [[getattr(one, name) for name in names] for one in (copy, run)]
        assert found == expected
        assert [type(value) for value in found] == [type(value) for value in expected]

    def test_that_are_loaded_belong_to_the_session(self, session: Session) -> None:
        run_id = factories.execution(session).id
        session.expunge_all()
        run = loaded(session, Execution, id=run_id)
        assert run.status is ExecutionStatus.QUEUED  # read when it is asked for
        run.workflow_name = "Renamed"
        session.flush()
        assert session.scalar(text("SELECT workflow_name FROM workflow_executions WHERE id = :id"), {"id": run_id}) == (
            "Renamed"
        )


class TestErrors:
    def test_are_sqlalchemys_errors_without_the_parameters(self, session: Session) -> None:
        with pytest.raises(ProgrammingError) as refusal:
            RawStatement("SELECT no_such_thing(:secret)").rows(session, {"secret": "abracadabra"})
        assert "no_such_thing" in str(refusal.value)
        assert refusal.value.params is None

    def test_of_the_time_limit_are_operational(self, session: Session) -> None:
        session.execute(text("SET LOCAL statement_timeout = 50"))
        with pytest.raises(OperationalError):
            RawStatement("SELECT pg_sleep(5)").rows(session, {})

    def test_of_a_write_to_a_standby_are_worth_a_retry_on_another_connection(self, committed_database: str) -> None:
        with SessionFactory() as session:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            session.execute(text("SET TRANSACTION READ ONLY"))  # refuses a write as a standby does
            with pytest.raises(OperationalError) as refusal:
                RawStatement("DELETE FROM workers RETURNING name").rows(session, {})
        assert refusal.value.connection_invalidated
        with SessionFactory() as session:
            assert session.scalar(text("SELECT pg_backend_pid()")) != pid

    def test_of_a_lost_connection_make_the_pool_forget_it(self, committed_database: str) -> None:
        with SessionFactory() as session:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            with session_scope() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            with pytest.raises(DBAPIError) as lost:
                RawStatement("SELECT 1").rows(session, {})
        assert lost.value.connection_invalidated
        with SessionFactory() as session:
            assert RawStatement("SELECT 1 + :one").first(session, {"one": 1}) == (2,)


_PREPARED = text("SELECT statement, generic_plans AS used FROM pg_prepared_statements")  # planned once


class TestPreparedStatements:
    ADD = PreparedStatement("SELECT CAST(:one AS int) + :two, '100%'")

    def test_are_planned_once_for_a_connection(self, committed_database: str) -> None:
        for _ in range(3):
            with single_statement_scope() as session:
                assert self.ADD.rows(session, {"one": 1, "two": 2}) == [(3, "100%")]
        with session_scope() as session:
            prepared = [row for row in session.execute(_PREPARED) if "CAST($1 AS int) + $2, '100%'" in row.statement]
        assert [row.used for row in prepared] == [3]

    def test_are_executed_as_they_are_where_a_pooler_may_change_the_session(
        self, committed_database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        double = PreparedStatement("SELECT 2 * CAST(:one AS int)")
        with session_scope() as session:
            monkeypatch.delitem(session.connection().info, PREPARED)
            assert double.first(session, {"one": 2}) == (4,)
            assert "2 *" not in str(session.execute(_PREPARED).all())

    def test_that_the_session_has_lost_are_worth_a_retry_on_another_connection(self, committed_database: str) -> None:
        with single_statement_scope() as session:
            self.ADD.rows(session, {"one": 1, "two": 2})
        with session_scope() as session:
            session.execute(text("DEALLOCATE ALL"))
        with pytest.raises(OperationalError), single_statement_scope() as session:
            self.ADD.rows(session, {"one": 1, "two": 2})
        with single_statement_scope() as session:
            assert self.ADD.first(session, {"one": 2, "two": 2}) == (4, "100%")

    def test_do_not_outlive_a_change_of_the_columns_that_they_return(self, committed_database: str) -> None:
        names = PreparedStatement("SELECT name FROM users WHERE email = :email")
        with single_statement_scope() as session:
            names.rows(session, {"email": "nobody@example.com"})
        with session_scope() as session:
            session.execute(text("ALTER TABLE users ALTER name TYPE text"))
        with pytest.raises(OperationalError), single_statement_scope() as session:
            names.rows(session, {"email": "nobody@example.com"})
        with single_statement_scope() as session:
            assert names.rows(session, {"email": "nobody@example.com"}) == []


_WORKER = "INSERT INTO workers (name, process, queues, report_interval) VALUES (:name, '', '[]', 1)"


class TestStatementsWithoutASession:
    ADD = PreparedStatement("SELECT CAST(:one AS int) + :two, '100%'")

    def test_are_prepared_and_committed(self, committed_database: str) -> None:
        insert = PreparedStatement(
            "INSERT INTO workers (name, process, queues, report_interval) VALUES (:name, '', '[]', 1) RETURNING name"
        )
        assert [self.ADD.rows_alone({"one": 1, "two": two}) for two in (1, 2)] == [[(2, "100%")], [(3, "100%")]]
        assert insert.rows_alone({"name": "alone"}) == [("alone",)]
        with session_scope() as session:
            prepared = {row.statement: row.used for row in session.execute(_PREPARED)}
            assert session.scalar(text("DELETE FROM workers RETURNING name")) == "alone"
        assert [used for statement, used in prepared.items() if "$1 AS int) + $2, '100%'" in statement] == [2]

    def test_are_committed_at_once_unless_the_session_has_a_transaction(self, committed_database: str) -> None:
        insert = PreparedStatement(f"{_WORKER} RETURNING name")
        with SessionFactory() as session:
            assert insert.first_at_once(session, {"name": "first"}) == ("first",)
            assert not session.in_transaction()
            session.execute(text("SELECT 1"))
            assert insert.first_at_once(session, {"name": "second"}) == ("second",)
        with session_scope() as session:
            assert session.scalars(text("DELETE FROM workers RETURNING name")).all() == ["first"]

    def test_have_the_settings_of_a_transaction(self, committed_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = RawStatement("SELECT current_setting('TimeZone'), current_setting('statement_timeout')")
        expected = [("UTC", "15s")]
        assert settings.rows_alone({}) == expected
        dialect = SessionFactory.kw["bind"].dialect
        monkeypatch.setattr(dialect, "_set_up", set())  # as behind a pooler
        with session_scope() as session:
            session.execute(text("SET statement_timeout = 0"))
        assert settings.rows_alone({}) == expected

    @pytest.mark.parametrize("pooled", [False, True])
    def test_that_follow_another_see_what_it_waited_for(
        self, committed_database: str, monkeypatch: pytest.MonkeyPatch, pooled: bool
    ) -> None:
        lock, name = RawStatement("SELECT pg_advisory_xact_lock(:key)"), uuid4().hex
        found = PreparedStatement("SELECT count(*), CAST(:key AS int) FROM workers WHERE name = :name")
        if pooled:
            monkeypatch.setattr(SessionFactory.kw["bind"].dialect, "_set_up", set())
        with ThreadPoolExecutor() as pool:
            with session_scope() as session:
                lock.rows(session, {"key": 5})
                waiting = pool.submit(found.rows_alone, {"key": 5, "name": name}, before=lock)
                waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                with session_scope() as other:
                    eventually(lambda: waiting.done() or other.scalar(waits) == 1)
                session.execute(text(_WORKER), {"name": name})
            assert waiting.result() == [(1, 5)]
        with session_scope() as session:
            assert session.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 0
            session.execute(text("DELETE FROM workers WHERE name = :name"), {"name": name})

    def test_raise_sqlalchemys_errors_without_the_parameters(self, committed_database: str) -> None:
        with pytest.raises(ProgrammingError) as refusal:
            RawStatement("SELECT no_such_thing(:secret)").rows_alone({"secret": "abracadabra"})
        assert refusal.value.params is None
        assert not refusal.value.connection_invalidated

    def test_whose_connection_is_lost_are_worth_a_retry(self, committed_database: str) -> None:
        with session_scope() as other:
            other.execute(text("SELECT 1"))
            with session_scope() as session:  # whose connection the pool lends next
                pid = session.scalar(text("SELECT pg_backend_pid()"))
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            with pytest.raises(OperationalError) as lost:
                self.ADD.rows_alone({"one": 1, "two": 2})
        assert lost.value.connection_invalidated
        assert self.ADD.rows_alone({"one": 2, "two": 2}) == [(4, "100%")]

    def test_that_find_no_database_are_worth_a_retry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nowhere = new_engine("postgresql://nobody@127.0.0.1:1/nothing")
        monkeypatch.setitem(SessionFactory.kw, "bind", nowhere)
        with pytest.raises(OperationalError):
            self.ADD.rows_alone({"one": 1, "two": 2})

    def test_that_the_session_has_lost_are_worth_a_retry(self, committed_database: str) -> None:
        self.ADD.rows_alone({"one": 1, "two": 2})
        with session_scope() as session:
            session.execute(text("DEALLOCATE ALL"))
        with pytest.raises(OperationalError):
            self.ADD.rows_alone({"one": 1, "two": 2})
        assert self.ADD.rows_alone({"one": 2, "two": 2}) == [(4, "100%")]


class TestSessionsThatReadAlone:
    @pytest.fixture
    def reader(self, committed_database: str) -> Iterator[Session]:
        with SessionFactory(info={READS_ALONE: True}) as session:
            yield session

    def test_have_no_transaction_to_end(self, reader: Session) -> None:
        first, second = (RawStatement("SELECT now()").rows(reader, {}) for _ in range(2))
        assert first < second
        assert not reader.in_transaction()

    def test_see_what_they_wrote_themselves(self, reader: Session) -> None:
        workers = RawStatement("SELECT name FROM workers")
        assert workers.rows(reader, {}) == []
        reader.execute(text("INSERT INTO workers (name, process, queues, report_interval) VALUES ('a', '', '[]', 1)"))
        assert workers.rows(reader, {}) == [("a",)]
        reader.rollback()
        assert workers.rows(reader, {}) == []

    def test_read_again_if_their_connection_was_lost(self, reader: Session) -> None:
        with session_scope() as other:
            other.execute(text("SELECT 1"))
            with session_scope() as session:  # whose connection the pool lends next
                pid = session.scalar(text("SELECT pg_backend_pid()"))
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            assert RawStatement("SELECT 1 + :one").rows(reader, {"one": 1}) == [(2,)]

    def test_raise_what_is_wrong_with_a_statement(self, reader: Session) -> None:
        with pytest.raises(ProgrammingError):
            RawStatement("SELECT no_such_thing()").rows(reader, {})


class TestSingleStatements:
    def test_are_a_transaction_with_its_settings_each(self, committed_database: str) -> None:
        settings = RawStatement("SELECT current_setting('TimeZone'), current_setting('statement_timeout')")
        with single_statement_scope() as session:
            assert settings.rows(session, {}) == [("UTC", "15s")]
        with single_statement_scope() as session:
            first, second = (RawStatement("SELECT now()").rows(session, {}) for _ in range(2))
        assert first < second
