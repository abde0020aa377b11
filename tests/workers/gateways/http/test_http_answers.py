import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.support.engine.http_calls import failure, send
from tests.support.servers.raw_server import answer, raw_server


class TestReading:
    @pytest.mark.parametrize(
        ("kind", "raw", "body"),
        [
            ("application/json", b'{"a": [1, 2.5, "\xc3\xbc"]}', {"a": [1, 2.5, "ü"]}),
            ("application/problem+json; charset=utf-8", b"[1]", [1]),
            ("application/json", b"\xef\xbb\xbf[1]", [1]),
            ("application/json", b"", None),
            ("application/json", b"{oops", "{oops"),
            ("application/json", b'{"a": NaN}', '{"a": NaN}'),
            ("application/json", b"[" * 70 + b"]" * 70, "[" * 70 + "]" * 70),
            ("application/json", b"[" * 60 + b"]" * 60, json.loads("[" * 60 + "]" * 60)),
            ("application/json", b'{"a": "x\\u0000y"}', {"a": "x\ufffdy"}),
            ("application/json", b'"\\ud800"', "\ufffd"),
            ("application/json", b'["\\ud83d", "\\ud83d\\ude00"]', ["\ufffd", "\U0001f600"]),
            ("application/json", b'{"a": "\xff"}', {"a": "\ufffd"}),
            ("application/json", b'{"id": 9007199254740993, "n": 1}', {"id": "9007199254740993", "n": 1}),
            ("application/json", b"[12345678901234567890123]", ["12345678901234567890123"]),
            ("text/plain", b"a\x00b", "a\ufffdb"),
            ("text/plain; charset=iso-8859-1", b"\xfc", "ü"),
            ("text/plain; charset=windows-1252", b"\x80", "€"),
            ("text/html", b"\xff!", "\ufffd!"),
            ("text/plain; charset=punycode", b"abc-", "abc-"),
            ("text/plain; charset=zlib", b"abc", "abc"),
            ("text/plain; charset=nonsense", b"abc", "abc"),
            ("", b"plain", "plain"),
            ("application/octet-stream", b"readable", "readable"),
            ("image/png", b"\x89PNG\xff", {"contentType": "image/png", "size": 5, "base64": "iVBOR/8="}),
        ],
    )
    def test_the_body_is_json_or_text_or_base64_by_its_content(self, kind, raw, body):
        with raw_server(answer(raw, **({"Content_Type": kind} if kind else {}))) as server:
            assert send(server).body == body

    def test_unpacks_gzip_and_hands_headers_on_in_lower_case(self):
        packed = answer(gzip.compress(b'{"a":1}'), Content_Encoding="gzip", Content_Type="application/json", X_Id="7")
        with raw_server(packed) as server:
            found = send(server)
        assert (found.body, found.headers["x-id"]) == ({"a": 1}, "7")

    def test_a_header_that_comes_twice_is_joined(self):
        twice = b"HTTP/1.1 200 OK\r\nVary: a\r\nVary: b\r\nContent-Length: 0\r\n\r\n"
        with raw_server(twice) as server:
            assert send(server).headers["vary"] == "a, b"

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (answer(b"\x1f\x8bnot gzip", Content_Encoding="gzip"), "bad_response"),
            (answer(b"data", Content_Encoding="br"), "bad_response"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", "bad_response"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "connection_lost"),
            (b"HTTP/1.1 200 OK\r\nContent-", "connection_lost"),
            (b"", "connection_lost"),
        ],
    )
    def test_an_answer_that_is_broken_is_a_failure_that_may_be_retried(self, raw, code):
        with raw_server(lambda sock: sock.sendall(raw)) as server:
            failed = failure(server)
        assert (failed.code, failed.retryable, failed.outcome) == (code, True, "failed")

    def test_a_refused_connection_may_be_retried_even_for_a_post(self):
        with raw_server(answer()) as server:
            pass
        failed = failure(server, method="POST", body=b"x")
        assert (failed.code, failed.retryable) == ("connect_failed", True)


class TestStatus:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 422, 501, 505])
    def test_an_error_that_time_does_not_cure_is_final(self, status):
        with raw_server(answer(b"nope", status=f"{status} X")) as server:
            failed = failure(server)
        assert (failed.code, failed.retryable) == (f"http_{status}", False)
        assert str(failed) == f"The server responded with {status}: nope"

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_an_error_that_time_may_cure_is_retryable(self, status):
        with raw_server(answer(b"", status=f"{status} X", Retry_After="7")) as server:
            failed = failure(server, method="POST", body=b"x")
        assert (failed.code, failed.retryable, failed.retry_after) == (f"http_{status}", True, 7.0)

    @pytest.mark.parametrize(
        ("value", "low", "high"),
        [
            ("0", 0, 0),
            ("2.5", 2.5, 2.5),
            ("99999", 3600, 3600),
            (timedelta(seconds=1000), 900, 1000),
            (timedelta(days=-1), 0, 0),
            (timedelta(days=9), 3600, 3600),
        ],
    )
    def test_reads_when_to_come_back_as_seconds_or_as_a_date_within_an_hour(self, value, low, high):
        if isinstance(value, timedelta):
            value = format_datetime(datetime.now(UTC) + value)
        with raw_server(answer(b"", status="429 X", Retry_After=value)) as server:
            assert low <= failure(server).retry_after <= high

    @pytest.mark.parametrize("value", ["soon", "-5", "1e9", "", "Mon, 99 Foo", "\u0661"])
    def test_ignores_a_time_that_makes_no_sense(self, value):
        with raw_server(answer(b"", status="429 X", Retry_After=value)) as server:
            assert failure(server).retry_after is None

    def test_a_server_that_quotes_secrets_does_not_put_them_into_our_error(self):
        headers = {"Authorization": "Bearer hush-hush-hush", "X-Api-Key": "top-secret-key", "Accept-Language": "de-CH"}
        echo = b"you sent Bearer hush-hush-hush or hush-hush-hush and top-secret-key in de-CH"
        with raw_server(answer(echo, status="400 Bad")) as server:
            failed = failure(server, headers=headers)
        assert "hush" not in str(failed)
        assert "top-secret" not in str(failed)
        assert "de-CH" in str(failed)

    def test_an_excerpt_is_one_printable_line(self):
        page = b"<h1>\r\n  Oh\x00 \x1b[31mno</h1>" + b"a" * 5000
        with raw_server(answer(page, status="500 X", Content_Type="text/html")) as server:
            sentence = str(failure(server))
        assert sentence.startswith("The server responded with 500: <h1> Oh [31mno</h1>")
        assert sentence.isprintable()
        assert len(sentence) < 260
