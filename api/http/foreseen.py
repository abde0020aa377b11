"""Answers that were read before their request began, for all requests that begin together (`api.serving.foresight`).

Each stands in the request's environment under a key that names all that it depends on, so a wrong guess is never used.
What is not there, a request reads by itself.
"""

from collections.abc import Hashable
from typing import Any

from flask import request

FORESEEN = "agentforge.foreseen"  # in a request's environment: the answers by key


def take(key: Hashable) -> Any:
    """The answer for `key`, for one use; None if nobody foresaw it."""
    answers: dict[Hashable, Any] | None = request.environ.get(FORESEEN)
    return answers.pop(key, None) if answers else None
