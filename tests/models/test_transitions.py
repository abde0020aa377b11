"""The transition tables of states, as code, as the database enforces them, and as the documents draw them."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.rules.executions.states import NODE_TRANSITIONS, TERMINAL, TRANSITIONS, ExecutionStatus, NodeStatus
from tests.support import factories

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
ARROW = r"^ +(\w+) --> (\w+)"
_COPY = """
    INSERT INTO workflow_executions (user_id, workflow_id, version_id, workflow_name, priority, price_list,
                                     credits_cap, nodes_total, status, finished_at)
    SELECT user_id, workflow_id, version_id, workflow_name, priority, price_list, credits_cap, nodes_total, :status,
           CASE WHEN :over THEN now() END
      FROM workflow_executions WHERE id = :id
 RETURNING id
"""
_CHANGE = """
    UPDATE workflow_executions SET status = :status, finished_at = CASE WHEN :over THEN now() END WHERE id = :id
"""


def is_accepted(session: Session, statement: str, **values: object) -> bool:
    """Whether the database accepts the change, which is undone."""
    nested = session.begin_nested()
    try:
        session.execute(text(statement), values)
    except IntegrityError as error:
        if not error.orig.diag.constraint_name.endswith("_status_transition"):
            raise
        return False
    finally:
        nested.rollback()
    return True


def pairs(table: Mapping[StrEnum, frozenset[StrEnum]]) -> set[tuple[StrEnum, StrEnum]]:
    return {(before, after) for before, then in table.items() for after in then}


def unchanged(states: Iterable[StrEnum]) -> set[tuple[StrEnum, StrEnum]]:
    return {(state, state) for state in states}


def test_the_database_accepts_the_transitions_of_runs_and_no_others(session):
    template = factories.execution(session)
    accepted = set()
    for before, after in product(ExecutionStatus, ExecutionStatus):
        row = {"status": before, "over": before in TERMINAL, "id": template.id}
        changed = {"id": session.scalar(text(_COPY), row), "status": after, "over": after in TERMINAL}
        if is_accepted(session, _CHANGE, **changed):
            accepted.add((before, after))
    assert accepted == pairs(TRANSITIONS) | unchanged(ExecutionStatus)


def test_the_database_accepts_the_transitions_of_nodes_and_no_others(session):
    run = factories.execution(session)
    accepted = set()
    for before, after in product(NodeStatus, NodeStatus):
        node = f"{before}-{after}"
        factories.ran(session, run, node, status=before)
        change = "UPDATE node_executions SET status = :status WHERE node_id = :node"
        if is_accepted(session, change, status=after, node=node):
            accepted.add((before, after))
    assert accepted == pairs(NODE_TRANSITIONS) | unchanged(NodeStatus)


@pytest.mark.parametrize("states", [ExecutionStatus, NodeStatus], ids=["runs", "nodes"])
def test_the_tables_know_every_state(states):
    assert set({ExecutionStatus: TRANSITIONS, NodeStatus: NODE_TRANSITIONS}[states]) == set(states)


def test_the_diagram_of_an_execution_draws_the_same_transitions():
    chapter = ARCHITECTURE.read_text().split("## States of an execution")[1].split("##")[0]
    assert set(re.findall(ARROW, chapter, re.MULTILINE)) == pairs(TRANSITIONS)
