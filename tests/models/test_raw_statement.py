"""Statements that go to the driver as they are behave as those that SQLAlchemy sends."""

import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from models.db import SessionFactory, session_scope
from models.raw_statement import RawStatement, columns, copied, loaded
from models.rules.executions.states import ExecutionStatus
from models.tables import Execution
from tests.support import factories

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
        loaded(session, Execution, *RUN.rows(session, {})).workflow_name = "Renamed"
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
