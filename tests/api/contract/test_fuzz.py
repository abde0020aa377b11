"""Schemathesis sends unexpected requests to every operation: no response is a 5xx, and none is undocumented.

A seeded, bounded run belongs to the suite; `make fuzz` runs much longer, with other requests each time.

A seeded, bounded run belongs to the suite; `make fuzz` asks much longer, and differently each time.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from api.limits import rate_limits
from models.rules.prices.pricing import Tier
from models.services.accounts import passwords
from models.tables import Role, User
from tests.support.api.routes import archives, belongings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))  # of each kind, for each operation
SEED = os.environ.get("FUZZ_SEED", "20261125")
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
NAMED = {"eventId": "evt_route", "nodeId": "in", "number": 1}
QUIET = settings(
    max_examples=EXAMPLES,
    database=None,
    phases=[Phase.generate],
)


@pytest.fixture(autouse=True)
def nobody_waits(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable rate limits and waits, for thousands of requests in seconds."""
    monkeypatch.setattr(app.extensions["change_notifier"], "_max_subscriptions", 0)
    monkeypatch.setattr(rate_limits.limiter, "enabled", False)


@pytest.fixture
def schema(app: Flask, stranger: FlaskClient) -> Any:
    """The description, as it is served."""
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


def own_ids(named: dict[str, str]) -> dict[str, Any]:
    """Ids as the addresses of the description call them."""
    first_words = {name: name.split("_") for name in named}
    return {words[0] + "".join(word.title() for word in words[1:]): named[name] for name, words in first_words.items()}


def questions(operation: Any, ids: dict[str, Any]) -> Iterator[Case]:
    """Of each kind some: what is right, what is wrong, what stands on the border; with ids that exist, and made-up."""
    for mode, real in itertools.product(GenerationMode, (True, False)):
        names = {parameter.name for parameter in operation.path_parameters}
        if real and not names & ids.keys():
            continue
        known = {name: ids[name] for name in names & ids.keys()} if real else None
        yield from drawn(operation.as_strategy(mode, path_parameters=known), f"{SEED}{operation.label}{mode}{real}")
    config = operation.schema.config.generation_for(operation=operation)
    borders = operation.schema.iter_coverage_cases(
        operation, generation_modes=list(GenerationMode), generation_config=config
    )
    for number, case in enumerate(itertools.islice(borders, EXAMPLES * 4)):
        if number % 2 and case.path_parameters:
            case.path_parameters |= {name: ids[name] for name in case.path_parameters.keys() & ids.keys()}
        yield case


def judges(case: Case) -> list[Any]:
    """The checks of a response; unavailable dependencies of health checks and limits of URLs are no failures."""
    found = [*CHECKS]
    if not case.operation.path.startswith("/health"):
        found.append(not_a_server_error)
    if case.operation.body:
        found.append(checks.negative_data_rejection)
    return found


def drawn(strategy: st.SearchStrategy[Case], seed: str) -> list[Case]:
    cases: list[Case] = []

    @seeded(seed)
    @QUIET
    @given(strategy)
    def draw(case: Case) -> None:
        cases.append(case)

    with suppress(Unsatisfiable):  # there is nothing wrong to send where anything is right
        draw()
    return cases


class Somebody:
    """Users with one object of every kind; reading requests share one, because writing ones may use it up."""

    def __init__(self, session: Any, new_user: Callable[..., User], sign_in: Callable[[User], FlaskClient]) -> None:
        self._session, self._new_user, self._sign_in = session, new_user, sign_in
        self._numbers = itertools.count(1)
        self._reader = cache(self._new)

    def for_(self, operation: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """The headers of a user who may send this request, and ids of the user's objects."""
        role = Role.ADMIN if "/admin" in operation.path else Role.USER
        return self._reader(role) if operation.method == "get" else self._new(role, bool(operation.path_parameters))

    def _new(self, role: Role, has_things: bool = True) -> tuple[dict[str, str], dict[str, Any]]:
        user = self._new_user(f"fuzz-{next(self._numbers)}@example.com", tier=Tier.ENTERPRISE, role=role)
        user.password_hash = passwords.hash_password("a long password")
        self._session.commit()
        client = self._sign_in(user)
        headers = {"Authorization": client.environ_base["HTTP_AUTHORIZATION"]}
        if not has_things:
            return headers, {}
        things = belongings(client, self._sign_in(user), self._session, user) | archives(self._session, user)
        return headers, own_ids(things) | NAMED


def test_no_request_breaks_it_or_gets_an_undocumented_response(
    schema: Any, new_user: Callable[..., User], sign_in: Callable[[User], FlaskClient], session: Any
) -> None:
    """Every operation, with what is right, wrong and on the border."""
    somebody = Somebody(session, new_user, sign_in)
    wrong: dict[str, str] = {}
    asked = 0
    for operation in (found.ok() for found in schema.get_all_operations()):
        headers, ids = somebody.for_(operation)
        for case in questions(operation, ids):
            asked += 1
            try:
                case.validate_response(case.call(headers=headers), checks=judges(case))
            except (Exception, BaseExceptionGroup) as error:
                wrong.setdefault(f"{operation.label}: {error}"[:80], f"{operation.label}: {error}"[:1500])
    assert not wrong, "\n\n".join(wrong.values())
    assert asked > 500
