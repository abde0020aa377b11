"""Sentences of problem documents: the app shows only `message`, so it says what is wrong and where."""

import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import pytest
from marshmallow import Schema, ValidationError, fields

import api.schemas
from api.http.errors import fields_of, sentence
from api.schemas.base import In, Query
from models.errors import FieldError
from tests.support.api.routes import api_routes, call_route

BODY_VALUES = (None, 7, -1, 1e308, True, "", "x", "x" * 6000, "\ud83d\ude00", [], ["x"], [None] * 30_000, {}, {"x": 1})
QUERY_VALUES = ("", "x", "-1", "1.5", "9" * 30, "x" * 6000, "a,b", "true")
# Any JSON, and what phones have in forms of their own: where it is no time it is ignored.
TAKE_ANYTHING = {"ExecuteIn.input", "ScheduleIn.input", "ScheduleUpdateIn.input", "TrialIn.input", "TrialIn.item"}
TAKE_ANYTHING |= {"TemplateIn.estimated_time", "TemplateUpdateIn.estimated_time"}
FOREIGN = re.compile(r"not a valid|may not be null|missing data|invalid|(short|long)er than|pattern|length must", re.I)


def kinds(base: type[Schema]) -> Iterator[type[Schema]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def named() -> list[Any]:
    for module in walk_packages(api.schemas.__path__, "api.schemas."):
        import_module(module.name)
    found = {(schema, name) for base in (In, Query) for schema in kinds(base) for name in schema().load_fields}
    return [pytest.param(s, n, id=f"{s.__name__}.{n}") for s, n in sorted(found, key=lambda f: (f[0].__name__, f[1]))]


def refusals(schema: type[Schema], field: fields.Field[Any]) -> Iterator[FieldError]:
    """Everything that a schema says of one field, missing or wrong in many ways."""
    key = field.data_key or ""
    values = QUERY_VALUES if issubclass(schema, Query) else BODY_VALUES
    for document in ({}, *({key: value} for value in values)):
        try:
            schema().load(document)
        except ValidationError as error:
            yield from (one for one in fields_of(error) if one.field.partition(".")[0] == key)


@pytest.mark.parametrize(("schema", "name"), named())
def test_every_field_is_refused_in_sentences_that_name_it(schema, name):
    field = schema().load_fields[name]
    for refusal in refusals(schema, field):
        said = sentence(refusal)
        assert said.startswith(refusal.field), said
        assert re.search(r" (must|is) ", said), said
        assert said.endswith(("." if "Expo" not in said else "].", "...].")), said
        assert not FOREIGN.search(said), said


def test_every_field_was_refused_in_some_way():
    """The test above sees what it is about."""
    cases = {case.id: case.values for case in named()}
    silent = {name for name, (schema, field) in cases.items() if not [*refusals(schema, schema().load_fields[field])]}
    assert silent <= TAKE_ANYTHING, silent


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"password": "short"}, "password must have at least 8 characters."),
        ({"password": None}, "password must not be null."),
        ({"password": ["x"]}, "password must be text."),
        ({"email": "nobody"}, "email must be an email address such as name@example.com."),
        ({"name": ""}, "name must not be empty."),
        ({"name": "x" * 201}, "name must have at most 200 characters; this has 201."),
    ],
)
def test_the_message_is_the_sentence_of_the_first_field(stranger, sent, said):
    whole = {"email": "ada@example.com", "password": "long enough words", "name": "Ada"}
    answer = stranger.post("/auth/register", json={**whole, **sent})
    assert answer.status_code == 422
    assert (answer.json["message"], answer.json["detail"]) == (said, said)
    assert answer.json["errors"] == [{"field": next(iter(sent)), "message": said}]


def test_a_missing_field_is_named(stranger):
    answer = stranger.post("/auth/login", json={"email": "ada@example.com"})
    assert answer.json["message"] == "password is missing."


def test_the_first_of_several_is_shown_and_all_are_listed(stranger):
    answer = stranger.post("/auth/register", json={})
    assert answer.json["message"] == "email is missing."
    assert [error["message"] for error in answer.json["errors"]] == [
        "email is missing.",
        "password is missing.",
        "name is missing.",
    ]


def test_every_refused_body_says_more_than_that_it_is_refused(app, client):
    """Whatever route it was sent to: the app shows one sentence, and that names a field."""
    wrong = {}
    for route in api_routes(app, lambda route: route.method in ("POST", "PUT")):
        answer = call_route(app, client, route, json={"input": 1, "nodes": 7, "priceId": 7, "amount": "x", "name": 5})
        if answer.status_code == 422:
            first = answer.json["errors"][0]
            if first["field"] not in answer.json["message"] or answer.json["message"] != answer.json["detail"]:
                wrong[str(route)] = answer.json["message"]
    assert wrong == {}


@pytest.mark.parametrize("path", ["/workflows?limit=0", "/credits/history?limit=many", "/usage/stats?period=decade"])
def test_every_query_argument_names_itself_in_its_error(client, path):
    answer = client.get(path)
    assert answer.status_code == 422
    assert answer.json["message"].startswith(answer.json["errors"][0]["field"] + " must be ")
