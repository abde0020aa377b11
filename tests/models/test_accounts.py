"""Opening accounts, knowing who is who, and ending tokens."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from uuid import UUID, uuid4

import bcrypt
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import Conflict, NotAuthenticated
from models.rules.pricing import Tier
from models.services import accounts, credits
from models.user import Role, User

HORSE = "correct horse"
TOMORROW = datetime.now(UTC) + timedelta(days=1)


def register(session: Session, email: str = "ada@example.com", password: str = HORSE) -> User:
    return accounts.register(session, email=email, password=password, name="Ada", welcome_credits=Decimal(10))


class TestRegister:
    def test_opens_a_free_account_with_welcome_credits_once(self, session: Session) -> None:
        user = register(session)
        assert (user.subscription_tier, user.role, user.token_epoch) == (Tier.FREE, Role.USER, 0)
        assert credits.balance(session, user.id).balance == 10
        assert [move.key for move in credits.history(session, user.id)] == [f"welcome:{user.id}"]

    def test_without_welcome_credits_opens_an_empty_wallet(self, session: Session) -> None:
        user = accounts.register(
            session, email="a@example.com", password="correct horse", name="Ada", welcome_credits=Decimal(0)
        )
        assert credits.balance(session, user.id).balance == 0
        assert credits.history(session, user.id) == []

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
            assert credits.violations(session) == []


class TestAuthenticate:
    @pytest.mark.parametrize("email", ["ada@example.com", " ADA@EXAMPLE.COM"])
    def test_knows_the_address_in_any_case(self, session: Session, email: str) -> None:
        user = register(session)
        assert accounts.authenticate(session, email=email, password="correct horse").id == user.id

    def test_says_the_same_of_a_wrong_password_and_an_unknown_address(self, session: Session) -> None:
        register(session)
        said = set()
        for email in ("ada@example.com", "nobody@example.com"):
            with pytest.raises(NotAuthenticated) as refusal:
                accounts.authenticate(session, email=email, password="wrong horse")
            said.add((refusal.value.code, refusal.value.detail))
        assert said == {("wrong_credentials", "The email address or the password is wrong.")}

    def test_hashes_as_often_for_an_unknown_address_as_for_a_known_one(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        register(session)
        costs = []
        check = bcrypt.checkpw
        monkeypatch.setattr(bcrypt, "checkpw", lambda word, known: costs.append(known[:7]) or check(word, known))
        for email in ("ada@example.com", "nobody@example.com"):
            with pytest.raises(NotAuthenticated):
                accounts.authenticate(session, email=email, password="wrong horse")
        assert costs == [b"$2b$04$", b"$2b$04$"]

    @pytest.mark.parametrize(
        "password",
        ["🐎" * 64, "a" * 1000, "nul\x00inside", "half \ud83d a pair"],
        ids=["256 bytes of emoji", "long", "NUL", "lone surrogate"],
    )
    def test_takes_any_text_as_a_password_to_its_last_character(self, session: Session, password: str) -> None:
        user = register(session, password=password)
        assert accounts.authenticate(session, email=user.email, password=password).id == user.id
        with pytest.raises(NotAuthenticated):
            accounts.authenticate(session, email=user.email, password=password[:-1] + "!")

    def test_costs_a_third_of_a_second_in_production(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        assert accounts.BCRYPT_ROUNDS == 12
        assert accounts.hash_password("correct horse").startswith("$2b$12$")


class TestTokens:
    def revoke(self, session: Session, jti: UUID, grace: float = 0) -> None:
        accounts.revoke_token(session, jti, register(session).id, TOMORROW, grace_seconds=grace)

    def test_work_until_they_are_revoked(self, session: Session) -> None:
        jti = uuid4()
        assert not accounts.is_token_revoked(session, jti)
        self.revoke(session, jti)
        assert accounts.is_token_revoked(session, jti)

    def test_work_through_their_grace(self, session: Session) -> None:
        jti = uuid4()
        self.revoke(session, jti, grace=60)
        assert not accounts.is_token_revoked(session, jti)

    @pytest.mark.parametrize(("first", "second"), [(60, 0), (0, 60)])
    def test_end_at_the_sooner_of_two_wishes(self, session: Session, first: float, second: float) -> None:
        user, jti = register(session), uuid4()
        for grace in (first, second):
            accounts.revoke_token(session, jti, user.id, TOMORROW, grace_seconds=grace)
        assert accounts.is_token_revoked(session, jti)

    def test_all_end_with_their_epoch(self, session: Session) -> None:
        user = register(session)
        accounts.end_sessions(session, user.id)
        session.expire_all()
        found = accounts.find(session, user.id)
        assert found is not None
        assert found.token_epoch == 1


def test_nobody_is_found_under_an_unknown_id(session: Session) -> None:
    assert accounts.find(session, uuid4()) is None
