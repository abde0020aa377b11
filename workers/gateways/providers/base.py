"""What a provider's wire format is: how a call is put into a request, and how its answers and refusals are read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.rules.effects import ModelCall, TextAnswer
from models.rules.pricing import Provider
from workers.gateways.base import CallFailed

Json = Any

# The models that answer when a node names none: current, middle-sized, and kept for long by their makers.
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


@dataclass(frozen=True)
class Outgoing:
    """One request: `path` below the provider's base URL, headers (with the key, hence not in the repr), a JSON payload.

    It is a POST, or a GET when there is no payload.
    """

    path: str
    headers: Mapping[str, str] = field(repr=False)
    payload: Json = field(default=None, repr=False)


@dataclass(frozen=True)
class Refusal:
    """What an error answer says: the provider's word for it, its sentence, and seconds to wait if it names them."""

    kind: str
    message: str
    wait: float | None = None


@dataclass(frozen=True)
class Format:
    """One provider's wire format, as pure functions.

    `read` makes the answer of a 200's JSON and may raise `CallFailed`; whatever else it raises (a missing field, a
    wrong type) means an answer that makes no sense. `refusal` reads an error's JSON (None when it is none) and headers.
    `codes` maps the provider's own words to our codes where the HTTP status does not say it all.
    """

    provider: Provider
    write: Callable[[ModelCall, str, str], Outgoing]  # call, model, key
    read: Callable[[Json], TextAnswer]
    refusal: Callable[[Json, Mapping[str, str]], Refusal]
    codes: Mapping[str, str]
    models: Callable[[str], Outgoing]  # key; the list of models, which costs nothing


class BadAnswer(Exception):
    """A 200 that is not an answer: broken JSON, missing fields, half a body."""


def refused_by(provider: Provider, why: str) -> CallFailed:
    """The model or a filter declined; asking again would not help."""
    return CallFailed("provider_refused", f"{TITLES[provider]} declined to answer ({tidy(why, 60)}).")


def nothing_said(provider: Provider) -> CallFailed:
    """All allowed tokens were used up before there was any text."""
    sentence = f"{TITLES[provider]} used up maxTokens before there was any text; allow more."
    return CallFailed("provider_length", sentence)


def tidy(text: Json, limit: int = 200) -> str:
    """A foreign sentence in one printable line of bounded length."""
    raw = text if isinstance(text, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in raw[: 8 * limit]).split())[:limit]


def counted(*, input_tokens: Json, output_tokens: Json, total: Json = None) -> dict[str, int]:
    """Token counts in our words; what a provider leaves out counts as zero."""
    given, said = (value if isinstance(value, int) else 0 for value in (input_tokens, output_tokens))
    return {"input": given, "output": said, "total": total if isinstance(total, int) else given + said}


def seconds(duration: Json) -> float | None:
    """Seconds of a duration such as `17s`, `6m0s`, `350ms`, `1h2m3.5s`; None for anything else."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?", str(duration or "-"))
    if not parts:
        return None
    hours, minutes, secs, millis = (float(part or 0) for part in parts.groups())
    return hours * 3600 + minutes * 60 + secs + millis / 1000
