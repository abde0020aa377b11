"""Fixtures of the services' tests."""

import pytest

from models.services.accounts import passwords


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """bcrypt at its cheapest: a third of a second for every account would be most of these tests' time."""
    monkeypatch.setattr(passwords, "BCRYPT_ROUNDS", 4)
