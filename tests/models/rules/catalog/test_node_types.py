"""The document about node types says what the linter does, and enough for forms."""

import itertools

import jsonschema_rs
import pytest

from models.rules.catalog.node_types import node_types
from models.rules.graph.kinds import Field, NodeKind
from models.rules.lint.lint import lint
from models.rules.nodes import KINDS
from models.rules.prices.pricing import COSTS
from tests.models.rules.lint.test_lint import node

DOCUMENT = node_types()
TYPES = {described["type"]: described for described in DOCUMENT["nodeTypes"]}
FIELDS = [(kind, field) for kind in KINDS.values() for field in kind.fields]
SENSE = {"invalid_expression", "config", "unknown_variable"}  # codes of errors that are not about the shape of a value
VALUES = (
    *(
        0,
        1,
        2,
        0.5,
        -1,
        10,
        51,
        3_600,
        3_601,
        10**6,
        10**9,
        True,
        False,
        "",
        "text",
        "GET",
        "get",
        "asc",
        "openai",
        "5",
    ),
    *("{{ data }}", "{{ index }} of {{ input }}", "data.amount > 1", "return 1;", "https://example.com", "2027-01-31"),
    *([], [1], {}, {"a": 1}, [{"name": "a", "condition": "data > 1"}], [{"name": "default", "condition": "true"}]),
    *([{"name": " ", "condition": "true"}], [{"name": "a"}], [{"name": "a" * 65, "condition": "true"}], [{}]),
    *("00000000-0000-4000-8000-000000000000", "x" * 9_000),
)
NAMES = [f"{kind.type}.{field.name}" for kind, field in FIELDS]


def refusals(kind: NodeKind, field: Field, value: object, **others: object) -> list[str]:
    """What the linter refuses about this field, except what is about other fields and about the expressions in it."""
    report = lint({"nodes": [node("n", kind.type, config={**others, field.name: value})], "connections": []})
    about = (f"nodes.0.config.{field.name}",)
    return [finding.code for finding in report.errors if finding.field.startswith(about)]


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=NAMES)
def test_what_the_schema_of_a_field_allows_the_linter_takes(kind, field):
    schema = TYPES[kind.type]["config"]["properties"][field.name]
    allowed = [value for value in VALUES if jsonschema_rs.is_valid(schema, value)]
    by_operation = {"operation": "code"} if field.kind == "code" else {}
    codes = {code for value in allowed for code in refusals(kind, field, value, **by_operation)}
    assert codes <= SENSE


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=NAMES)
def test_defaults_and_examples_are_valid(kind, field):
    schema = TYPES[kind.type]["config"]["properties"][field.name]
    for value in (*field.examples, *([] if field.default is None else [field.default])):
        jsonschema_rs.validate(schema, value)
        others = {other: values[0] for other, values in field.when.items()}
        assert set(refusals(kind, field, value, **others)) <= {"unknown_variable", "unknown_reference"}, value


@pytest.mark.parametrize("described", TYPES.values(), ids=TYPES)
def test_a_form_has_its_words_and_a_valid_schema(described):
    assert all(described[name] for name in ("title", "help", "result"))
    jsonschema_rs.meta.validate(described["config"])
    for name, schema in described["config"]["properties"].items():
        assert schema["title"], name
        for other, values in schema.get("x-when", {}).items():
            assert set(values) <= set(described["config"]["properties"][other]["enum"])


def test_a_field_without_effect_is_no_field_for_the_linter():
    """What the form of a provider or an operation hides, the linter refuses or does not know."""
    hidden = {
        ("ai_agent", "model"): {"provider": "openclaw"},
        ("ai_agent", "maxTokens"): {"provider": "openclaw"},
        ("ai_agent", "agentId"): {"provider": "openai"},
        ("process", "expression"): {"operation": "code", "code": "return 1;"},
    }
    for (type_, name), config in hidden.items():
        found = lint({"nodes": [node("n", type_, config={**config, name: 5})], "connections": []}).findings
        assert f"nodes.0.config.{name}" in {finding.field for finding in found}
        when = TYPES[type_]["config"]["properties"][name]["x-when"]
        assert all(config.get(other) not in values for other, values in when.items())


def test_the_expression_of_format_is_a_text():
    """A field that depends on a choice is refined for it."""
    schema = TYPES["process"]["config"]
    refined = [one for one in schema["allOf"] if one["if"]["properties"] == {"operation": {"const": "format"}}]
    assert refined[0]["then"]["properties"]["expression"]["x-expressions"] == "template"
    assert schema["properties"]["expression"]["x-expressions"] == "expression"
    assert schema["properties"]["code"]["x-expressions"] == "body"


def test_ports_are_those_that_the_node_has():
    assert TYPES["decision"]["ports"] == ["true", "false"]
    assert TYPES["decision"]["portsBy"] == {"field": "cases", "property": "name", "also": ["default"]}
    cases = [{"name": "large", "condition": "true"}]
    assert KINDS["decision"].ports({"cases": cases}) == ("large", "default")
    assert TYPES["approval"]["ports"] == ["approved", "rejected", "timeout"]
    assert TYPES["input"]["ports"] == []


def test_prices_are_those_of_the_price_list():
    assert TYPES["input"]["credits"] == COSTS["node_execution"]
    assert TYPES["ai_agent"]["credits"] == COSTS["node_execution"] + COSTS["api_call_openclaw"]
    by = TYPES["ai_agent"]["creditsBy"]
    assert by["field"] == "provider"
    assert by["credits"]["anthropic"] == COSTS["node_execution"] + COSTS["api_call_anthropic"]
    assert DOCUMENT["creditsPerRun"] == COSTS["workflow_execution"]


OPTION_VALUES = {
    "retry": [{"maxAttempts": n, "backoff": b} for n, b in itertools.product((0, 1, 2.5, 10, 11), (0.5, 1, 10, 11))],
    "timeout": [0, 0.1, 3_600, 3_601],
    "deadline": [0, 1, 90 * 86_400, 90 * 86_400 + 1],
    "onError": ["fail", "continue", "branch", "ignore"],
    "onCrash": ["retry", "fail", "stop"],
    "sideEffects": ["once", "twice"],
}


@pytest.mark.parametrize("name", OPTION_VALUES)
def test_options_are_valid_exactly_if_the_linter_takes_them(name):
    schema = DOCUMENT["options"]["properties"][name]
    for value in OPTION_VALUES[name]:
        nodes = [node("n", "api_call", config={"url": "https://example.com"}, **{name: value})]
        is_taken = not lint({"nodes": nodes, "connections": []}).errors
        assert jsonschema_rs.is_valid(schema, value) is is_taken, value
