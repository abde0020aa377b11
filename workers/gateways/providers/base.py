"""Wire formats of providers: how a call becomes a request, and how responses and errors are read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from models.rules.graph.effects import ModelCall, TextResult
from models.rules.prices.pricing import Provider
from models.serialization import Json
from workers.gateways.base import CallFailed

# The models used when a node names none: current, middle-sized, with long support.
DEFAULT_MODELS: Mapping[Provider, str] = {
    Provider.OPENAI: "gpt-5.4-mini",
    Provider.ANTHROPIC: "claude-sonnet-5",
    Provider.GOOGLE: "gemini-3.5-flash",
}
TITLES: Mapping[Provider, str] = {
    Provider.OPENAI: "OpenAI",
    Provider.ANTHROPIC: "Anthropic",
    Provider.GOOGLE: "Google",
}
_OUT_OF_MONEY = re.compile(
    r"credit balance is too low|credits? (are|is) (depleted|exhausted)|insufficient (credits?|balance|funds|quota)"
    r"|specified API usage limits?|billing (hard )?limit|spend(ing)? (cap|limit)|billing is (not active|disabled)"
    r"|enable billing|not enough credits",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Outgoing:
    """One request: `path` below the provider's base URL, headers (with the key, hence not in the repr), a JSON payload.

    It is a POST, or a GET when there is no payload.
    """

    path: str
    headers: Mapping[str, str] = field(repr=False)
    payload: Json = field(default=None, repr=False)


@dataclass(frozen=True)
class ProviderRefusal:
    """An error response: the provider's word for it, its sentence, and seconds to wait if it names them.

    `status` is the HTTP status that the body names, for errors that come with a 200.
    """

    kind: str
    message: str
    wait: float | None = None
    status: int | None = None


@dataclass(frozen=True)
class Format:
    """One provider's wire format, as pure functions.

    `read` makes the result from the JSON of a 200 and may raise `CallFailed`; any other exception (a missing field, a
    wrong type) means that the response is malformed. `refusal` reads an error's JSON (None if unreadable) and headers.
    `codes` maps the provider's error words to our codes where the HTTP status is ambiguous, `statuses` to the HTTP
    status that they usually come with, for errors that arrive with a 200.
    """

    provider: Provider
    write: Callable[[ModelCall, str, str], Outgoing]  # call, model, key
    read: Callable[[Json], TextResult]
    refusal: Callable[[Json, Mapping[str, str]], ProviderRefusal]
    codes: Mapping[str, str]
    statuses: Mapping[str, int]
    models: Callable[[str], Outgoing]  # key; the list of models, which costs nothing


class BadResponse(Exception):
    """A response with status 200 is malformed: broken JSON, missing fields, or a truncated body."""


def reported_error(body: Json) -> Mapping[str, Json]:
    """The error object in a body, in any of the usual shapes; empty when there is none.

    Routers put an error in mid-response beside the text so far (`choices[0].error`).
    """
    found = body[0] if isinstance(body, list) and body else body
    if not isinstance(found, dict):
        return {}
    choices = found.get("choices")
    error = found.get("error")
    if not error and isinstance(choices, list) and choices and isinstance(choices[0], dict):
        error = choices[0].get("error")
    if isinstance(error, str) and error.strip():
        return {"message": error}
    return error if isinstance(error, dict) else {}


def status_in(value: Json) -> int | None:
    """The HTTP status in an error's code, given as a number or digits; None when the code is something else."""
    text = str(value)
    return int(text) if re.fullmatch(r"[45]\d\d", text) else None


def is_out_of_money(message: str) -> bool:
    """Whether the sentence says that the account cannot pay, so that a retry cannot help."""
    return _OUT_OF_MONEY.search(message) is not None


def refused_by(provider: Provider, why: str) -> CallFailed:
    """The error for a refusal by the model or a content filter; not retryable."""
    return CallFailed("provider_refused", f"{TITLES[provider]} declined to respond ({tidy(why, 60)}).")


def no_text(provider: Provider, *, cut_off: bool, called_a_tool: bool, thought: bool) -> CallFailed:
    """The error for a response without text; being cut off is final, because it would happen again."""
    if cut_off:
        sentence = f"{TITLES[provider]} used up maxTokens before there was any text; allow more."
        return CallFailed("provider_length", sentence)
    what = "nothing but its reasoning" if thought else "no text"
    if called_a_tool:
        what = "a tool call that was not requested"
    return CallFailed("provider_empty_answer", f"{TITLES[provider]} answered with {what}.", retryable=True)


def tidy(text: Json, limit: int = 200) -> str:
    """Reduce a provider's sentence to one printable line of at most `limit` characters."""
    raw = text if isinstance(text, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in raw[: 8 * limit]).split())[:limit]


def counted(*, input_tokens: Json, output_tokens: Json, total: Json = None) -> dict[str, int]:
    """Token counts as `{input, output, total}`; a count that the provider leaves out is zero."""
    given, said = (value if isinstance(value, int) else 0 for value in (input_tokens, output_tokens))
    return {"input": given, "output": said, "total": total if isinstance(total, int) else given + said}


def seconds(duration: Json) -> float | None:
    """Parse a duration such as `17s`, `6m0s`, `350ms`, `1h2m3.5s` into seconds; None for anything else."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", str(duration or "-"))
    if not parts:
        return None
    hours, minutes, secs, millis = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + secs + millis / 1000
