"""Settings of nodes besides their config are supported by their type, or refused."""

import pytest

from models.rules.lint.lint import lint
from models.rules.nodes import KINDS
from tests.models.rules.lint.test_lint import node

CONFIGS = {
    "api_call": {"url": "https://example.com"},
    "subworkflow": {"workflowId": "00000000-0000-4000-8000-000000000000"},
    "ai_agent": {"prompt": "Hello"},
}
ATTEMPTING = {"api_call", "ai_agent", "subworkflow"}


def problems(kind, **policy):
    found = lint({"nodes": [node("n", kind, config=CONFIGS.get(kind), **policy)], "connections": []}).errors
    return {(finding.code, finding.field) for finding in found}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "value"), [("retry", {"maxAttempts": 3}), ("onCrash", "fail")])
def test_attempts_are_for_types_that_make_some(kind, name, value):
    expected = set() if kind in ATTEMPTING else {("invalid_policy", f"nodes.0.{name}")}
    assert problems(kind, **{name: value}) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_what_asks_for_nothing_is_fine_everywhere(kind):
    assert problems(kind, retry={"maxAttempts": 1}, onCrash="retry") == set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "policy", [{"timeout": 5}, {"deadline": 5}, {"onError": "continue"}, {"onError": "branch"}, {"onError": "fail"}]
)
def test_time_limits_and_failures_are_for_all(kind, policy):
    assert problems(kind, **policy) == set()


@pytest.mark.parametrize(
    "until",
    [
        "soon",
        "2027-02-29",
        "9999-12-31T23:59:59-12:00",
        "2027-01-31T09:00:00+25:00",
        "2027-01-31T24:00:00Z",
        "2500-01-01",
    ],
)
def test_a_moment_that_is_written_out_must_be_one(until):
    found = lint({"nodes": [node("w", "wait", config={"until": until})], "connections": []}).errors
    assert [(finding.code, finding.field) for finding in found] == [("config", "nodes.0.config.until")]
    assert "until" in found[0].message


@pytest.mark.parametrize("until", ["2027-01-31T09:00:00Z", " 2027-01-31 ", "2020-01-01", "{{ input }}", "", None])
def test_a_moment_or_an_expression_is_fine(until):
    assert lint({"nodes": [node("w", "wait", config={"until": until})], "connections": []}).errors == ()
