"""Charges for failed and stopped nodes: the fault of a failure decides which part of a node's price is charged.

The prices themselves are in `models/rules/prices/pricing.py`.

A node is charged if it succeeded, if it failed because of the workflow, or if it was stopped after its call was sent.
It is not charged for failures of this service or of a provider. `FAULTS` has every code with which a node can fail.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from models.serialization import Json

FREE = Decimal("0.00")

RULES = (
    "A run is charged `workflow_execution` once one of its nodes has begun; so is each run that it starts.",
    "A node is charged `node_execution` once per iteration, if it succeeded or failed because of the workflow: an"
    " expression, invalid input, a 4xx of the API that it calls (except 429), its own time-out, the limit of a loop.",
    "The price of its call (`api_call_...`) is added if a request was sent, even if it was cancelled or timed out"
    " afterwards.",
    "Failures of the service or of a provider are not charged: 5xx, 429, overload, a lost connection, a lost worker.",
    "A run never costs more than the credits that were held for it.",
)


class FailureFault(StrEnum):
    """The cause of a node's failure."""

    WORKFLOW = "workflow"  # it would fail again: charged
    STOPPED = "stopped"  # by its owner or its time limit: charged if its request was sent
    PROVIDER = "provider"  # the provider, or the network: free
    SERVICE = "service"  # this service, its workers or its operator: free


FAULTS: Mapping[str, FailureFault] = {
    code: fault
    for fault, codes in {
        FailureFault.WORKFLOW: """
            expression_failed invalid_expression output_refused invalid_request egress_refused too_many_redirects
            too_large run_too_large run_fuel_spent
            provider_key_missing provider_key_rejected provider_quota provider_refused provider_length
            provider_invalid_request model_not_found context_too_long
            openclaw_too_large openclaw_not_text openclaw_agent_not_allowed openclaw_refused openclaw_bad_request
            openclaw_model_not_found openclaw_context_overflow
            run_timed_out nested_too_deeply too_many_subworkflows not_found forbidden invalid_input invalid_graph
            workflow_read_only node_limit_reached storage_limit_reached
        """,
        FailureFault.STOPPED: """
            cancelled timeout node_timed_out subworkflow_cancelled
            openclaw_timeout openclaw_aborted openclaw_abort_unconfirmed
        """,
        FailureFault.PROVIDER: """
            connect_failed connection_lost dns_failed tls_failed bad_response outcome_unknown
            rate_limited provider_overloaded provider_unavailable provider_bad_answer provider_empty_answer
            openclaw_connection_lost openclaw_restarted openclaw_restarting openclaw_forgotten openclaw_unreadable
            openclaw_unreachable openclaw_unavailable openclaw_failed openclaw_provider_cooldown
            openclaw_rate_limited openclaw_overloaded openclaw_provider_error openclaw_provider_timeout
            openclaw_empty_response openclaw_session_busy
        """,
        FailureFault.SERVICE: """
            internal_error worker_died quarantined queued_too_long subworkflow_failed unknown_price_list
            temporarily_unavailable error conflict expression_interrupted
            openclaw_busy openclaw_closed openclaw_connect_refused openclaw_wrong_url openclaw_forbidden
            openclaw_wrong_token openclaw_locked_out openclaw_no_scopes openclaw_no_identity openclaw_not_paired
            openclaw_wrong_version openclaw_bad_device_key openclaw_http_off openclaw_provider_auth
            openclaw_provider_billing
        """,
    }.items()
    for code in codes.split()
}

_HTTP = re.compile(r"http_(\d{3})")


def fault_of(code: str) -> FailureFault:
    """The fault of a failure with this code; an unknown code counts as a fault of the service."""
    if status := _HTTP.fullmatch(code):
        is_client_error = 400 <= int(status[1]) < 500 and status[1] != "429"
        return FailureFault.WORKFLOW if is_client_error else FailureFault.PROVIDER
    return FAULTS.get(code, FailureFault.SERVICE)


def root_code(error: Mapping[str, Json]) -> str:
    """The code of the first cause of an error; that of a loop is the error of a node inside it."""
    return str(error.get("cause") or error.get("code") or "")


def is_ours(error: Mapping[str, Json] | None) -> bool:
    """Whether a run ended with `error` by a fault of this service, so that the nodes it stopped are not charged."""
    return bool(error) and fault_of(root_code(error or {})) is FailureFault.SERVICE


def is_charged(code: str, *, sent: bool) -> bool:
    """Whether a node is charged for an attempt that failed with `code`; `sent` if its request was sent."""
    fault = fault_of(code)
    return fault is FailureFault.WORKFLOW or (fault is FailureFault.STOPPED and sent)


def failure(code: str, price: Decimal, base: Decimal, *, sent: bool, owed: bool = False) -> Decimal:
    """The credits to charge for a node that failed.

    Args:
        code: the code of the first cause.
        price: the credits of the node with its call.
        base: the credits of the node without it.
        sent: whether the request of its last attempt was sent.
        owed: whether an earlier attempt is to be charged.
    """
    if owed:
        return price
    if not is_charged(code, sent=sent):
        return FREE
    return price if sent else base
