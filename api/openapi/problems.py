"""The error codes of the API with their status and meaning, read from the error classes."""

from api.http.errors import HTTP_CODES, HTTP_SENTENCES, STATUS
from models.errors import ForgeError
from models.serialization import JsonObject

OURS = ("api.", "models.")
HTTP_ERRORS = {
    "malformed_request": "The body is not valid JSON.",
    "unsupported_media_type": "The body must be sent as application/json.",
    "internal_error": "Something went wrong on our side. It has been logged.",
}
# Codes of errors from Stripe; those of a declined payment are Stripe's own, and this list of them is not complete.
FROM_STRIPE = {
    "card_declined": (402, "Your card was declined."),
    "expired_card": (402, "Your card has expired."),
    "incorrect_cvc": (402, "Your card's security code is incorrect."),
    "stripe_refused": (409, "The payment service does not allow this in the current state."),
    "resource_missing": (422, "The payment service does not know this payment method."),
    "payments_unavailable": (503, "The payment service is unavailable."),
    "gave_up": (503, "The payment service did not respond in time."),
}
OPEN = (402, 409)  # statuses with further codes of Stripe's, at routes that need Stripe


def known() -> dict[str, tuple[int, str]]:
    """Status and meaning of every error code."""
    found = {code: (status, HTTP_SENTENCES.get(status) or HTTP_ERRORS[code]) for status, code in HTTP_CODES.items()}
    found["internal_error"] = (500, HTTP_ERRORS["internal_error"])
    return found | FROM_STRIPE | {kind.code: (_status(kind), _sentence(kind)) for kind in _kinds(ForgeError)}


def by_status(codes: set[str]) -> dict[int, list[str]]:
    """The sorted codes by status; raises `KeyError` for a code that no error class has."""
    meant = known()
    found: dict[int, list[str]] = {}
    for code in sorted(codes):
        found.setdefault(meant[code][0], []).append(code)
    return dict(sorted(found.items()))


def example(code: str) -> JsonObject:
    """A problem document with this code."""
    status, sentence = known()[code]
    title = code.replace("_", " ").capitalize()
    document = {
        "type": f"urn:agentforge:problem:{code}",
        "title": title,
        "status": status,
        "detail": sentence,
        "code": code,
        "instance": "urn:agentforge:request:6f1c0a52b1f34c7d8a9e0b1c2d3e4f50",
        "message": sentence,
        "error": title,
    }
    if status == 422:
        document["errors"] = [{"field": "name", "message": "name is missing."}]
    return document


def _kinds(base: type[ForgeError]) -> list[type[ForgeError]]:
    kinds = [kind for kind in base.__subclasses__() if kind.__module__.startswith(OURS)]
    return kinds + [inner for kind in kinds for inner in _kinds(kind)]


def _status(kind: type[ForgeError]) -> int:
    return next((STATUS[base] for base in kind.__mro__ if base in STATUS), 400)


def _sentence(kind: type[ForgeError]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]
