"""The description of the API is complete and valid, agrees with the views, and is public."""

import ast
import inspect
from collections.abc import Iterator

import jsonschema_rs
import pytest
from flask import Flask
from openapi_spec_validator import validate

from api.openapi.document import Document, NotDescribed
from tests.support.api.contract import Contract

READERS = {
    "body": "body",
    "query": "query",
    "page_query": "query",
    "receipt_lines_query": "query",
    "steps_query": "query",
}


@pytest.fixture(scope="module")
def document(app: Flask) -> dict:
    contract: Contract = app.extensions["contract"]
    return contract.document


def operations(document: dict) -> Iterator[tuple[str, dict]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


class TestTheDescription:
    def test_is_valid_openapi(self, document):
        validate(document)

    def test_has_every_route(self, app, document):
        described = sum(len(methods) for methods in document["paths"].values())
        assert described == sum(len((rule.methods or set()) - {"HEAD", "OPTIONS"}) for rule in app.url_map.iter_rules())

    def test_fails_for_a_route_without_a_description(self, settings):
        app = Flask("undescribed")
        app.add_url_rule("/secret", view_func=lambda: "?", endpoint="secret.tunnel")
        with pytest.raises(NotDescribed, match=r"secret\.tunnel"):
            assert Document(app).content

    def test_needs_no_database(self, app, document):
        assert Document(app).content == document  # `session` is not asked for, so there is none

    def test_says_what_every_operation_is_for_and_who_may(self, document):
        for name, operation in operations(document):
            assert operation["summary"], name
            assert operation["tags"], name
            assert "security" in operation, name

    def test_agrees_with_what_the_views_read(self, app):
        """A view that reads a body or arguments describes the same schema, and none that it does not read."""
        for endpoint, view in app.view_functions.items():
            source = ast.parse(inspect.cleandoc(inspect.getsource(inspect.unwrap(view))))
            read = {
                (READERS[call.func.id], call.args[0].id)
                for call in ast.walk(source)
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") in READERS
            }
            said = {(word, kind.__name__) for word in ("body", "query") if (kind := getattr(view.described, word))}
            assert read <= said, endpoint
            assert said <= read | {("query", "EventsQuery")}, endpoint  # which `last_event_id` reads

    def test_shows_examples_that_are_as_they_should_be(self, document):
        components = {"components": document["components"]}
        for name, operation in operations(document):
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for media in (media for body in bodies for media in body.get("content", {}).values() if "example" in media):
                jsonschema_rs.validate({**media["schema"], **components}, media["example"], validate_formats=True)
                assert media["example"] != {} or "properties" not in media["schema"], name

    def test_has_the_types_of_shown_fields(self, document):
        vague = {
            f"{name}.{field}"
            for name, schema in document["components"]["schemas"].items()
            for field, said in schema["properties"].items()
            if not said.keys() & {"type", "$ref", "anyOf"}
        }
        assert vague <= {
            *(
                "ExecuteIn.input",
                "TrialIn.input",
                "TrialIn.item",
                "ScheduleIn.input",
                "ScheduleUpdateIn.input",
                "ScheduleDetail.input",
                "FullExecution.input",
                "FullExecution.output",
                "Node.output",
            ),
            *("Excerpt.value", "FieldDifference.before", "FieldDifference.after"),  # any value of a user's
        }


class TestServing:
    @pytest.mark.parametrize("mount", ["", "/api", "/v1"])
    def test_the_root_says_what_this_is_and_where_to_go_on(self, stranger, document, mount):
        for path in {mount or "/", f"{mount}/"}:
            answer = stranger.get(path)
            assert (answer.status_code, answer.mimetype) == (200, "application/json")
            assert answer.json["name"] == "AgentForge"
            assert answer.json["version"] == document["info"]["version"]
            assert answer.json["links"] == {
                "docs": f"{mount}/docs",
                "openapi": f"{mount}/openapi.json",
                "health": f"{mount}/health",
                "ready": f"{mount}/health/ready",
                "live": f"{mount}/health/live",
            }
            assert all(stranger.get(link).status_code in (200, 503) for link in answer.json["links"].values())

    def test_the_description_is_public_and_cached(self, app, stranger, document):
        answer = stranger.get("/openapi.json")
        assert answer.json == document
        assert "public" in answer.headers["Cache-Control"]
        again = stranger.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.get_data()) == (304, b"")

    @pytest.mark.parametrize("mount", ["", "/api", "/v1"])
    def test_the_page_loads_its_files_below_every_mount(self, stranger, mount):
        page = stranger.get(f"{mount}/docs")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        html = page.get_data(as_text=True)
        assert "http" not in html.replace("https", "http").split("<body>")[-1]
        for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
            assert f'"{mount}/docs/{name}"' in html
            assert len(stranger.get(f"{mount}/docs/{name}").get_data()) > 200
        assert f'data-from="{mount}/openapi.json"' in html
        assert stranger.get(f"{mount}/docs/../../../etc/passwd").status_code == 404
