"""Creating and authenticating accounts."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock
from uuid import uuid4

import bcrypt
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import Conflict, TransientError
from models.fair_slots import FairSemaphore
from models.rules.prices.pricing import Tier
from models.services.accounts import accounts, passwords
from models.services.credits import ledger
from models.tables import Role, User

HORSE = "correct horse"


def register(session: Session, email: str = "ada@example.com") -> User:
    return accounts.register(session, email=email, password_hash="!", name="Ada")


class TestRegister:
    def test_opens_a_free_account_with_an_empty_wallet(self, session: Session) -> None:
        user = register(session)
        assert (user.subscription_tier, user.role, user.token_epoch) == (Tier.FREE, Role.USER, 0)
        assert user.email_verified_at is None
        assert ledger.balance(session, user.id).balance == 0
        assert ledger.history(session, user.id) == []

    def test_keeps_the_address_as_typed_without_the_space_around_it(self, session: Session) -> None:
        assert register(session, " Ada.Lovelace@Example.com ").email == "Ada.Lovelace@Example.com"

    @pytest.mark.parametrize("again", ["ada@example.com", "ADA@example.COM", "  Ada@Example.com "])
    def test_refuses_an_address_that_is_taken_in_any_case(self, session: Session, again: str) -> None:
        register(session, "ada@example.com")
        with pytest.raises(Conflict) as refusal:
            register(session, again)
        assert refusal.value.code == "email_taken"

    @pytest.mark.usefixtures("committed_database")
    def test_of_one_address_by_many_at_once_opens_one_account(self) -> None:
        start = Barrier(8)

        def run(_: int) -> str:
            start.wait(10)
            try:
                with session_scope() as session:
                    register(session)
            except Conflict as refusal:
                return refusal.code
            return "opened"

        with ThreadPoolExecutor(8) as pool:
            answers = sorted(pool.map(run, range(8)))
        assert answers == ["email_taken"] * 7 + ["opened"]
        with session_scope() as session:
            assert session.scalar(select(func.count()).select_from(User)) == 1
            assert ledger.violations(session) == []


class TestPasswords:
    @pytest.mark.parametrize(
        "password",
        ["🐎" * 64, "a" * 1000, "nul\x00inside", "half \ud83d a pair"],
        ids=["256 bytes of emoji", "long", "NUL", "lone surrogate"],
    )
    def test_may_be_any_text_and_count_to_their_last_character(self, password: str) -> None:
        known = passwords.hash_password(password)
        assert passwords.is_right(password, known)
        assert not passwords.is_right(password[:-1] + "!", known)

    def test_of_unknown_users_are_hashed_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = passwords.hash_password(HORSE)
        costs = []
        check = bcrypt.checkpw
        monkeypatch.setattr(bcrypt, "checkpw", lambda word, known: costs.append(known[:7]) or check(word, known))
        assert not passwords.is_right("wrong horse", known)
        assert not passwords.is_right("wrong horse", None)
        assert not passwords.is_right("nobody has this password", None)
        assert not passwords.is_right("nobody has this password", "!")
        assert costs == [b"$2b$04$"] * 4

    def test_cost_a_third_of_a_second_in_production(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        assert passwords.BCRYPT_ROUNDS == 12
        assert passwords.hash_password(HORSE).startswith("$2b$12$")

    def test_are_hashed_a_few_at_a_time_and_others_are_told_to_retry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        busy, most, lock, go_on = 0, 0, Lock(), Event()

        def slow(word: bytes, known: bytes) -> bool:
            nonlocal busy, most
            with lock:
                busy += 1
                most = max(most, busy)
            go_on.wait(10)
            with lock:
                busy -= 1
            return True

        monkeypatch.setattr(bcrypt, "checkpw", slow)
        monkeypatch.setattr(passwords, "_slots", FairSemaphore(2, per_group=2, waiting=5))
        monkeypatch.setattr(passwords, "QUEUE_TIMEOUT_SECONDS", 0.2)

        def ask(_: int) -> str:
            try:
                return str(passwords.is_right(HORSE, "$2 known"))
            except TransientError:
                return "come back"
            finally:
                go_on.set()  # the first who is sent away lets the others go on

        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(ask, range(5)))
        assert most == 2
        assert "come back" in answers
        assert answers.count("True") >= 2


def test_no_user_is_found_under_an_unknown_id(session: Session) -> None:
    assert accounts.find(session, uuid4()) is None
