"""No value in any setting of any node is a failure of the service."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ForgeError
from models.rules.graph.config import compile_config
from models.rules.graph.effects import Ask, Done, Sleep
from models.rules.graph.graph import Node, parse
from models.rules.graph.kinds import Field, NodeCall
from models.rules.lint.lint import lint
from models.rules.nodes import KINDS
from models.rules.values.scope import Scope
from models.serialization import Json
from tests.support.engine.bench import Bench
from tests.support.factories import node
from workers.engine.values import clock, time_limits
from workers.engine.values.outputs import encode
from workers.engine.values.wait_reasons import pause_reason

NEEDED = {"api_call": {"url": "http://world/x"}, "ai_agent": {"prompt": "Hello"}, "subworkflow": {}}
NASTY: list[Json] = [
    *(0, -1, 1e300, 1e308, -1e308, 5e-324, 2**53 + 1, 2**63, 2**64, 10**299, -(10**299), 0.1, True),
    *("1e300", "1e999", "NaN", "Infinity", "-1", "9" * 400, "1" * 5_000, "\u0663", "1_000", "0x10", "1e-400"),
    *("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2027-01-31T09:00:00+25:00", "2027-01-31T09:00:60Z"),
    *("", " ", "soon", "{{ input }}", "{{ 1 / 0 }}", "{{", "true", "null", "00000000-0000-4000-8000-000000000000"),
    *([], [[]], {}, {"a": None}, [1] * 1_000, [{"name": "x", "condition": "1"}], {"": ""}, {"X-Y": [1, None]}),
]
FIELDS = [(kind, field) for kind in KINDS.values() for field in kind.fields]


def begun(kind: str, config: Json, run_input: Json) -> None:
    """Begin a node as the engine does, as far as rows and calls are made of it."""
    step = Node("n", kind, "N", config)
    seen = Scope({"input": run_input, "data": run_input, "nodes": {}, "item": None, "index": None, "execution": {}})
    resolved = compile_config(KINDS[kind], step, frozenset()).resolve(seen)
    asked = KINDS[kind].begin(NodeCall(step, resolved, seen, run_input))
    asked = time_limits.checked(asked, step, clock.now())
    KINDS[kind].retry_for(NodeCall(step, resolved, seen, run_input))
    if isinstance(asked, Done):
        encode(asked.output)
    if isinstance(asked, Sleep | Ask):
        orjson.dumps(pause_reason(asked).to_ref())


def check(kind: str, field: Field, value: Json) -> None:
    """A value that is written out is refused by the linter or works; one that comes at run time may fail the node."""
    for written, run_input in ((value, None), ("{{ input }}", value)):
        config = NEEDED.get(kind, {}) | {field.name: written}
        if not lint({"nodes": [node("n", kind, config=config)], "connections": []}).errors:
            with suppress(ForgeError):  # everything else would end the run as a failure of the service
                begun(kind, config, run_input)


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=lambda part: getattr(part, "name", getattr(part, "type", "")))
def test_nasty_values(kind: Any, field: Field):
    for value in NASTY:
        check(kind.type, field, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(FIELDS), JSON)
def test_any_value(at: tuple[Any, Field], value: Json):
    check(at[0].type, at[1], value)


POLICIES = ("timeout", "deadline", "onError", "onCrash", "sideEffects", "defaultValue", "label", "parentId", "position")
RETRY = ("maxAttempts", "initialInterval", "backoff", "maxInterval")


@given(st.sampled_from(sorted(KINDS)), st.sampled_from([*POLICIES, *RETRY]), JSON | st.sampled_from(NASTY))
def test_any_policy_is_refused_or_can_be_read(kind: str, name: str, value: Json):
    policy = {"retry": {name: value}} if name in RETRY else {name: value}
    document = {"nodes": [node("n", kind, config=NEEDED.get(kind, {})) | policy], "connections": []}
    if not lint(document).errors:
        step = parse(document).nodes["n"]
        assert time_limits.ends_at(step, clock.now()) is None or step.limit


def chosen() -> Iterator[tuple[str, str, Json]]:
    """Numbers and moments that come as the run's input, in each setting that is one."""
    for kind in KINDS.values():
        for field in kind.fields:
            if field.kind == "number" or field.name in ("until", "default", "items", "workflowId"):
                yield from (
                    (kind.type, field.name, value) for value in (1e300, "9999-12-31T23:59:59-12:00", 2**53 + 1, "x")
                )


def test_runs_fail_by_their_own_fault(bench: Bench):
    for kind, name, value in chosen():
        config = NEEDED.get(kind, {}) | {name: "{{ input[0] }}"}
        if lint({"nodes": [node("n", kind, config=config)], "connections": []}).errors:
            continue
        execution_id = bench.submit([node("n", kind, config=config, timeout=1)], value=[value])
        bench.runtime.drive(execution_id)
        error = bench.execution(execution_id).error or {}
        assert error.get("code") != "internal_error", (kind, name, value, error)
