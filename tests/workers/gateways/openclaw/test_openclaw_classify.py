"""Every end that the gateway reports has one meaning: retryable or not, its outcome, and a stable code."""

from typing import Any

import orjson
import pytest

from workers.gateways.base import CallFailed
from workers.gateways.openclaw import classify, classify_http, ledger


def meaning(failure: CallFailed) -> tuple[str, bool, str]:
    return failure.code, failure.retryable, failure.outcome


def raised(payload: dict[str, Any], detail: dict[str, Any] | None = None, *, asked: bool = False) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        classify.final_answer(payload, detail, asked=asked)
    return caught.value


def unavailable(message: str = "it failed") -> dict[str, Any]:
    return {"code": "UNAVAILABLE", "message": message}


@pytest.mark.parametrize(
    ("error", "code", "retry_after"),
    [
        ({"code": "INVALID_REQUEST", "details": {"code": "AUTH_TOKEN_MISMATCH"}}, "openclaw_wrong_token", None),
        ({"code": "NOT_PAIRED", "details": {"code": "DEVICE_IDENTITY_REQUIRED"}}, "openclaw_no_identity", None),
        ({"code": "INVALID_REQUEST", "details": {"code": "PROTOCOL_MISMATCH"}}, "openclaw_wrong_version", None),
        (
            {"code": "INVALID_REQUEST", "message": "invalid connect params: at /client/id"},
            "openclaw_connect_refused",
            None,
        ),
        ({"code": "NOT_PAIRED", "details": {"code": "PAIRING_REQUIRED"}}, "openclaw_not_paired", None),
        ({"code": "INVALID_REQUEST", "details": {"code": "AUTH_RATE_LIMITED"}}, "openclaw_locked_out", 300.0),
        (
            {"code": "INVALID_REQUEST", "details": {"code": "AUTH_RATE_LIMITED", "retryAfterMs": 900_000}},
            "openclaw_locked_out",
            900.0,
        ),
        (
            {
                "code": "UNAVAILABLE",
                "retryable": True,
                "retryAfterMs": 1500,
                "details": {"reason": "startup-sidecars"},
            },
            "openclaw_unavailable",
            1.5,
        ),
    ],
)
def test_a_refused_hello(error: dict[str, Any], code: str, retry_after: float | None) -> None:
    failure = classify.connect_failure(error)
    assert (failure.code, failure.retry_after) == (code, retry_after)
    assert failure.retryable is (retry_after is not None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": "UNAVAILABLE", "retryable": True, "retryAfterMs": 1000}, ("openclaw_unavailable", True, "failed")),
        ({"code": "INVALID_REQUEST", "message": "no such field"}, ("openclaw_refused", False, "failed")),
        (
            {"code": "INVALID_REQUEST", "message": 'invalid agent params: unknown agent id "x"'},
            ("openclaw_agent_not_allowed", False, "failed"),
        ),
        ({"code": "FORBIDDEN", "message": "no"}, ("openclaw_forbidden", False, "failed")),
        ({"code": "FORBIDDEN", "details": {"code": "MISSING_SCOPE"}}, ("openclaw_forbidden", False, "failed")),
        ({"code": "NOT_PAIRED", "message": "no"}, ("openclaw_refused", False, "failed")),
    ],
)
def test_a_request_refused_before_it_was_accepted(error: dict[str, Any], expected: tuple[str, bool, str]) -> None:
    assert meaning(classify.refusal(error)) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("rate_limit", ("openclaw_rate_limited", True, "failed")),
        ("overloaded", ("openclaw_overloaded", True, "failed")),
        ("server_error", ("openclaw_provider_error", True, "failed")),
        ("timeout", ("openclaw_provider_timeout", True, "timeout")),
        ("empty_response", ("openclaw_empty_response", True, "failed")),
        ("no_error_details", ("openclaw_provider_error", True, "failed")),
        ("auth", ("openclaw_provider_auth", False, "failed")),
        ("auth_permanent", ("openclaw_provider_auth", False, "failed")),
        ("billing", ("openclaw_provider_billing", False, "failed")),
        ("format", ("openclaw_bad_request", False, "failed")),
        ("model_not_found", ("openclaw_model_not_found", False, "failed")),
        ("context_overflow", ("openclaw_context_overflow", False, "failed")),
        ("session_expired", ("openclaw_failed", True, "failed")),
        ("unclassified", ("openclaw_failed", True, "failed")),
        ("unknown", ("openclaw_failed", True, "failed")),
        ("something-new", ("openclaw_failed", True, "failed")),
    ],
)
def test_a_failed_model_by_the_cause_that_only_the_event_tells(reason: str, expected: tuple[str, bool, str]) -> None:
    failure = classify.turn_failure(unavailable(), {"provider": "p", "failoverReason": reason})
    assert meaning(failure) == expected


@pytest.mark.parametrize(
    ("message", "code", "retry_after"),
    [
        ("Provider p is temporarily disabled", "openclaw_provider_cooldown", 60.0),
        ("Session s changed while starting work. Retry.", "openclaw_session_busy", 2.0),
        ("Gateway is draining; new tasks are not accepted", "openclaw_restarting", 5.0),
        ("nobody knows", "openclaw_failed", 15.0),
    ],
)
def test_a_failed_run_without_a_cause_goes_by_its_words(message: str, code: str, retry_after: float) -> None:
    failure = classify.turn_failure(unavailable(message), None)
    assert (failure.code, failure.retryable, failure.retry_after) == (code, True, retry_after)


def test_the_unknown_model_hides_behind_a_format_error() -> None:
    detail = {"failoverReason": "format", "providerRuntimeFailureKind": "model_not_found"}
    assert classify.turn_failure(unavailable(), detail).code == "openclaw_model_not_found"


ABORTED = {"status": "timeout", "summary": "aborted", "stopReason": "rpc"}


@pytest.mark.parametrize(
    ("payload", "asked", "expected"),
    [
        (ABORTED, True, ("cancelled", False, "cancelled")),
        (ABORTED, False, ("openclaw_aborted", False, "cancelled")),
        ({**ABORTED, "timeoutPhase": "queue"}, True, ("cancelled", False, "cancelled")),
        ({"status": "timeout", "timeoutPhase": "provider"}, False, ("openclaw_timeout", True, "timeout")),
        (
            {"status": "timeout", "summary": "aborted", "timeoutPhase": "provider"},
            True,
            ("openclaw_timeout", True, "timeout"),
        ),
        ({"status": "timeout", "summary": "aborted"}, False, ("openclaw_aborted", False, "cancelled")),
        ({"status": "timeout", "endedAt": 1}, False, ("openclaw_timeout", True, "timeout")),
        ({"status": "timeout"}, False, ("openclaw_unreadable", True, "unknown")),
        ({"status": "error", "summary": "failed"}, False, ("openclaw_failed", True, "failed")),
        ({"status": "weird"}, False, ("openclaw_unreadable", True, "unknown")),
        ({}, False, ("openclaw_unreadable", True, "unknown")),
    ],
)
def test_an_end_that_is_no_answer(payload: dict[str, Any], asked: bool, expected: tuple[str, bool, str]) -> None:
    assert meaning(raised(payload, asked=asked)) == expected


def test_an_abort_before_the_start_is_ours_only_if_we_asked() -> None:
    error = unavailable("admitted run authority is no longer active")
    assert meaning(classify.turn_failure(error, None, asked=True)) == ("cancelled", False, "cancelled")
    assert meaning(classify.turn_failure(error, None)) == ("openclaw_aborted", False, "cancelled")


def test_the_answer_is_the_text_of_all_payloads_but_errors_and_thoughts() -> None:
    payloads = [{"text": "one"}, {"text": "hm", "isReasoning": True}, {"text": "two"}, {"text": "!", "isError": True}]
    meta = {"agentMeta": {"provider": "p", "model": "m", "usage": {"input": 1, "output": 2, "total": 3}}}
    answer = classify.final_answer({"status": "ok", "result": {"payloads": payloads, "meta": meta}}, None)
    assert (answer.text, answer.model) == ("one\n\ntwo", "p/m")
    assert answer.usage == {"input": 1, "output": 2, "total": 3}


def test_an_ok_whose_only_payload_is_an_error_is_a_failure() -> None:
    result = {"payloads": [{"text": "too long", "isError": True}], "meta": {"error": {"kind": "context_overflow"}}}
    assert raised({"status": "ok", "result": result}).code == "openclaw_context_overflow"


@pytest.mark.parametrize(
    ("payload", "ended"),
    [
        ({"status": "timeout"}, False),
        ({"status": "timeout", "endedAt": 1}, True),
        ({"status": "ok", "stopReason": "stop"}, True),
        ({"status": "error", "stopReason": "rpc"}, True),
    ],
)
def test_a_bare_timeout_of_a_wait_is_not_the_end(payload: dict[str, Any], ended: bool) -> None:
    assert classify.wait_has_ended(payload) is ended


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (None, ("openclaw_forgotten", True, "unknown")),
        ({"status": "running"}, ("openclaw_restarted", True, "unknown")),
        (
            {"status": "cancelled", "terminalSummary": "Task execution process exited before restart."},
            ("openclaw_restarted", True, "unknown"),
        ),
        ({"status": "cancelled", "terminalSummary": "aborted"}, ("openclaw_aborted", False, "cancelled")),
        ({"status": "failed"}, ("openclaw_failed", True, "failed")),
        ({"status": "timed_out"}, ("openclaw_timeout", True, "timeout")),
    ],
)
def test_what_the_ledger_says_of_a_run_that_has_no_answer(task: Any, expected: tuple[str, bool, str]) -> None:
    assert meaning(ledger.reason(task)) == expected


def body(kind: str | None, message: str = "m") -> bytes:
    return orjson.dumps({"error": {"message": message, **({"type": kind} if kind else {})}})


@pytest.mark.parametrize(
    ("status", "data", "code", "retry_after"),
    [
        (401, body("unauthorized"), "openclaw_wrong_token", None),
        (401, body("authentication_error"), "openclaw_provider_auth", None),
        (400, body("invalid_request_error"), "openclaw_refused", None),
        (402, body("insufficient_quota"), "openclaw_provider_billing", None),
        (404, body("invalid_request_error"), "openclaw_model_not_found", None),
        (404, b"Not Found", "openclaw_http_off", None),
        (405, b"Method Not Allowed", "openclaw_http_off", None),
        (413, body("invalid_request_error"), "openclaw_too_large", None),
        (429, body("rate_limited"), "openclaw_locked_out", 300.0),
        (429, body("rate_limit_error"), "openclaw_rate_limited", 30.0),
        (500, body("api_error", "internal error"), "openclaw_provider_cooldown", 60.0),
        (500, body("api_error", "agent run aborted"), "openclaw_aborted", None),
        (502, body("api_error", "upstream provider error"), "openclaw_provider_error", 30.0),
        (503, orjson.dumps({"error": {"code": "gateway_unavailable"}}), "openclaw_unavailable", 5.0),
        (200, body("api_error", "not append-only"), "openclaw_failed", 15.0),
        (418, b"teapot", "openclaw_refused", None),
    ],
)
def test_an_http_error(status: int, data: bytes, code: str, retry_after: float | None) -> None:
    failure = classify_http.failure(status, {}, data)
    assert (failure.code, failure.retry_after) == (code, retry_after)


def test_an_http_error_is_not_retried_before_the_gateway_wants_it() -> None:
    failure = classify_http.failure(429, {"Retry-After": "900"}, body("rate_limited"))
    assert failure.retry_after == 900.0


@pytest.mark.parametrize("data", [b"<html>", b"{}", b'{"choices": []}', b"[]"])
def test_an_http_answer_that_makes_no_sense_leaves_the_outcome_unknown(data: bytes) -> None:
    with pytest.raises(CallFailed) as caught:
        classify_http.answer(data)
    assert meaning(caught.value) == ("openclaw_unreadable", True, "unknown")


def test_every_cause_has_a_sentence_and_a_code_of_ours() -> None:
    causes = [value for value in vars(classify).values() if isinstance(value, classify.Cause)]
    causes += [*classify.CONNECT.values(), *classify.FAILOVER.values()]
    assert all(cause.sentence[0].isupper() and cause.sentence.endswith(".") for cause in causes)
    assert all(cause.code == "cancelled" or cause.code.startswith("openclaw_") for cause in causes)
