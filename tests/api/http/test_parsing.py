"""Unreadable bodies are refused with the position of the error, and never with a 500."""

import time

import orjson
import pytest

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}


class Garbled(Exception):
    """As gunicorn has it: a kind of its own."""


def post(stranger, raw: bytes, content_type: str = "application/json"):
    return stranger.post("/auth/register", data=raw, content_type=content_type)


def fields(answer) -> list[str]:
    return [item["field"] for item in answer.json["errors"]]


class TestSyntax:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"{",
            b'{"email": }',
            b'{"name": NaN}',
            b'{"name": Infinity}',
            b"{'name': 1}",
            b'{"name": "\xff"}',
            b'{"name": "a\x00b"}',
            b"[" * 33 + b"]" * 33,
            b"[" * 5000 + b"]" * 5000,
            b"[" * 50_000,
            b'{"a":' * 40 + b"1" + b"}" * 40,
        ],
        ids=lambda raw: str(raw[:12]),
    )
    def test_what_is_not_json_within_bounds_is_malformed(self, stranger, raw):
        answer = post(stranger, raw)
        assert (answer.status_code, answer.json["code"]) == (400, "malformed_request")

    def test_thirty_two_levels_are_not_too_deep(self, stranger):
        raw = b'{"name":' + b"[" * 31 + b"]" * 31 + b"}"
        assert post(stranger, raw).status_code == 422

    @pytest.mark.parametrize("raw", [b"[]", b'"text"', b"7", b"null", b"true"])
    def test_a_body_that_is_no_object_is_called_so(self, stranger, raw):
        answer = post(stranger, raw)
        assert (answer.status_code, fields(answer)) == (422, ["body"])

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_another_content_type_is_refused(self, stranger, kind):
        assert post(stranger, orjson.dumps(ADA), kind).status_code == 415

    def test_of_equal_keys_the_last_one_counts(self, stranger):
        raw = b'{"email": "a@example.com", "email": "b@example.com", "password": "long enough", "name": "B"}'
        assert post(stranger, raw).json["user"]["email"] == "b@example.com"


class TestSize:
    def test_a_body_of_more_than_a_mebibyte_is_refused(self, stranger):
        answer = post(stranger, b'{"name": "' + b"x" * 1024 * 1024 + b'"}')
        assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")

    def test_a_body_without_a_length_is_bounded_too(self, stranger):
        answer = stranger.post(
            "/auth/register",
            content_type="application/json",
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input": Endless(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        )
        assert answer.status_code == 413


class TestFraming:
    @pytest.mark.parametrize("error", [Garbled("invalid chunk size"), ConnectionResetError(), ValueError()])
    def test_what_is_not_sent_as_http_has_it_is_malformed(self, stranger, error):
        answer = stranger.post(
            "/auth/register",
            content_type="application/json",
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input": Broken(error), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        )
        assert (answer.status_code, answer.json["code"]) == (400, "malformed_request")


class Broken:
    """A client of whose body the server can make nothing."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, size: int = -1) -> bytes:
        raise self.error

    readline = read


class Endless:
    """A client that never stops sending."""

    def read(self, size: int = -1) -> bytes:
        return b" " * (size if size > 0 else 1024)

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


class TestText:
    @pytest.mark.parametrize("bad", [b"a\\u0000b", b"\\ud800", b"\\udc00x"])
    def test_text_that_cannot_be_stored_is_named(self, stranger, bad):
        answer = post(stranger, b'{"email": "ada@example.com", "password": "correct horse", "name": "%s"}' % bad)
        assert (answer.status_code, fields(answer)) == (422, ["name"])

    def test_it_is_named_however_deep_it_stands(self, stranger):
        answer = post(stranger, b'{"name": {"a": [1, {"b": "\\u0000"}]}, "email": "\\u0000"}')
        assert fields(answer) == ["name.a.1.b", "email"]

    def test_keys_are_text_too(self, stranger):
        answer = post(stranger, b'{"na\\u0000me": 1}')
        assert (answer.status_code, fields(answer)) == (422, ["na\\u0000me"])

    def test_arguments_of_the_address_are_text_too(self, client):
        answer = client.get("/api/templates?category=a%00b")
        assert (answer.status_code, fields(answer)) == (422, ["category"])

    def test_an_escaped_backslash_is_not_a_nul(self, stranger):
        answer = post(stranger, b'{"email": "a@example.com", "password": "long enough", "name": "\\\\u0000"}')
        assert answer.json["user"]["name"] == "\\u0000"

    def test_emoji_are_fine(self, stranger):
        answer = post(stranger, b'{"email": "a@example.com", "password": "long enough", "name": "\\ud83d\\ude00"}')
        assert answer.json["user"]["name"] == "\N{GRINNING FACE}"


class TestNumbers:
    @pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"9" * 400, b"9" * 5000], ids=len)
    def test_a_number_without_end_is_named(self, stranger, number):
        answer = post(stranger, b'{"name": %s}' % number)
        assert (answer.status_code, fields(answer)) == (422, ["name"])


class TestFields:
    def test_every_unknown_field_is_named(self, stranger):
        said = {"token": "x", "newPassword": ADA["password"], "isAdmin": True, "subscription_tier": "premium"}
        answer = stranger.post("/auth/reset-password/confirm", json=said)
        assert answer.status_code == 422
        assert sorted(fields(answer)) == ["isAdmin", "subscription_tier"]

    def test_every_missing_field_is_named(self, stranger):
        assert sorted(fields(post(stranger, b"{}"))) == ["email", "name", "password"]


class TestParts:
    """Bodies with too many parts are refused by their number, with a short error."""

    @pytest.mark.parametrize("address", ["/api/auth/login", "/auth/register", "/auth/reset-password"])
    def test_a_client_without_a_token_may_send_little(self, stranger, address):
        raw = orjson.dumps({f"k{number}": 1 for number in range(80_000)})
        answer = stranger.post(address, data=raw, content_type="application/json")
        assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")

    def test_too_many_fields_are_refused_by_their_number(self, client):
        raw = orjson.dumps({f"k{number}": 1 for number in range(80_000)})
        before = time.thread_time()
        answer = client.post("/workflows", data=raw, content_type="application/json")
        assert (answer.status_code, fields(answer)) == (422, ["body"])
        assert "80,000" in answer.json["errors"][0]["message"]
        assert time.thread_time() - before < 0.5

    def test_so_are_too_many_values_wherever_they_are(self, client):
        for inner in (b"0," * 300_000 + b"0", b"[]," * 260_000 + b"[]"):
            raw = b'{"name": [' + inner + b"]}"
            answer = client.post("/workflows", data=raw, content_type="application/json")
            assert (answer.status_code, answer.json["code"]) == (400, "malformed_request")
            assert "250,000 values" in answer.json["detail"]

    def test_a_list_is_counted_before_its_items_are_read(self, client):
        answer = client.post("/access-keys", json={"name": "x", "scopes": ["no"] * 10_000})
        assert (answer.status_code, fields(answer)) == (422, ["scopes"])

    def test_at_most_fifty_errors_are_listed(self, stranger):
        unknown = {f"k{number}": 1 for number in range(90)}
        answer = stranger.post("/auth/reset-password/confirm", json=unknown)
        assert (answer.status_code, len(answer.json["errors"])) == (422, 50)

    def test_a_long_name_of_a_field_is_shortened(self, client):
        answer = client.post("/workflows", json={"k" * 500_000: 1})
        assert (answer.status_code, len(answer.data) < 10_000) == (422, True)
