"""The second factor: set up, asked for at sign-in, used once, and guessed at in vain."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pyotp
import pytest
from sqlalchemy import select, update

from models.db import session_scope
from models.services.accounts import two_factor
from models.tables import TwoFactor, User
from models.vault import Vault
from settings import DEVELOPMENT_KEY
from tests.support.api.two_factor import ADA, HEADER, age_failures, log_in, news


class TestSettingItUp:
    def test_gives_an_app_what_it_has_to_know(self, pending):
        assert pyotp.parse_uri(pending.uri).secret == pending.secret
        assert "AgentForge" in pending.uri
        assert "ada" in pending.uri

    def test_needs_the_password(self, pending):
        refused = pending.client.post("/auth/two-factor/setup", json={"password": "something else"})
        assert (refused.status_code, refused.json["code"]) == (422, "wrong_password")

    def test_counts_only_after_a_code_of_it_was_confirmed(self, pending, stranger):
        assert pending.client.get("/auth/two-factor").json["enabled"] is False
        assert log_in(stranger).status_code == 200
        wrong = pending.client.post("/auth/two-factor/confirm", json={"code": "12345x"})
        assert (wrong.status_code, wrong.json["code"]) == (422, "wrong_code")
        assert wrong.json["errors"][0]["field"] == "code"
        assert log_in(stranger).status_code == 200

    def test_shows_ten_recovery_codes_once(self, account):
        assert len(set(account.recovery_codes)) == 10
        told = account.client.get("/auth/two-factor").json
        assert (told["enabled"], told["recoveryCodesLeft"]) == (True, 10)
        assert not any(code in str(told) for code in account.recovery_codes)

    def test_ends_all_other_sessions(self, app, stranger, pending):
        other = app.test_client()
        other.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {log_in(stranger).json['token']}"
        pending.enable()
        assert other.get("/auth/me").status_code == 401
        assert pending.client.get("/auth/me").status_code == 200

    def test_anew_takes_turning_it_off_first(self, account):
        again = account.client.post("/auth/two-factor/setup", json={"password": ADA["password"]})
        assert (again.status_code, again.json["code"]) == (409, "two_factor_enabled")

    def test_keeps_neither_secret_nor_codes_readable(self, account, session):
        row = session.scalars(select(TwoFactor)).one()
        stored = repr([row.ciphertext, row.nonce, row.recovery_hashes])
        assert account.secret not in stored
        assert not any(code.replace("-", "") in stored or code in stored for code in account.recovery_codes)

    def test_seals_the_secret_for_this_account_alone(self, account, app, new_user, session):
        eve = new_user("eve@example.com")
        session.execute(update(TwoFactor).values(user_id=eve.id))
        with pytest.raises(two_factor.SecretUnreadable):
            two_factor.accepts(session, eve.id, account.phone.code(), vault=app.extensions["vault"])


class TestSigningIn:
    def test_asks_for_a_code_after_the_password(self, account, stranger):
        refused = log_in(stranger)
        assert (refused.status_code, refused.json["code"]) == (401, "two_factor_required")
        assert refused.json["message"].startswith("Enter the code")
        assert "token" not in refused.json

    def test_is_not_revealed_without_the_password(self, account, stranger):
        refused = stranger.post(
            "/auth/login", json={"email": ADA["email"], "password": "a wrong one", "code": "123456"}
        )
        assert refused.json["code"] == "wrong_credentials"

    def test_goes_on_with_the_code(self, account, stranger):
        assert log_in(stranger, code=account.phone.code()).status_code == 200

    def test_takes_a_code_once(self, account, stranger):
        assert log_in(stranger, code=account.phone.code()).status_code == 200
        replayed = log_in(stranger, code=account.phone.again())
        assert (replayed.status_code, replayed.json["code"]) == (401, "wrong_two_factor_code")

    def test_does_not_take_the_code_that_confirmed(self, account, stranger):
        assert log_in(stranger, code=account.phone.again()).status_code == 401

    def test_takes_no_code_of_another_time(self, account, stranger):
        totp = pyotp.TOTP(account.secret)
        for minutes in (-2, 2):
            assert log_in(stranger, code=totp.at(datetime.now(UTC) + timedelta(minutes=minutes))).status_code == 401

    def test_takes_a_recovery_code_once_however_it_is_typed(self, account, stranger, session):
        typed = account.recovery_codes[0].replace("-", " ").upper()
        assert log_in(stranger, code=typed).status_code == 200
        assert log_in(stranger, code=account.recovery_codes[0]).status_code == 401
        assert account.client.get("/auth/two-factor").json["recoveryCodesLeft"] == 9
        assert "recovery_used" in news(session)

    def test_does_not_change_for_users_without_it(self, stranger, account):
        stranger.post("/auth/register", json={**ADA, "email": "bob@example.com"})
        assert log_in(stranger, email="bob@example.com").status_code == 200


class TestGuessing:
    def test_is_over_after_five_wrong_codes_for_a_quarter_of_an_hour(self, account, app, session):
        for _ in range(5):
            assert account.client.delete("/api-keys/openai", headers={HEADER: "abc"}).status_code == 422
        blocked = account.client.delete("/api-keys/openai", headers={HEADER: account.phone.code()})
        assert (blocked.status_code, blocked.json["code"]) == (429, "too_many_codes")
        assert 14 * 60 < int(blocked.headers["Retry-After"]) <= 15 * 60
        assert news(session).count("blocked") == 1
        age_failures(session)
        assert account.client.delete("/api-keys/openai", headers={HEADER: account.phone.again()}).status_code == 404

    def test_counts_for_the_account_wherever_it_comes_from(self, account, app):
        answers = []
        for number in range(7):
            client = app.test_client()
            client.environ_base["REMOTE_ADDR"] = f"192.0.2.{number}"
            answers.append(log_in(client, code="000 000x").status_code)
        assert answers == [401] * 5 + [429] * 2

    def test_takes_recovery_codes_no_longer_either(self, account, app):
        for number in range(6):
            client = app.test_client()
            client.environ_base["REMOTE_ADDR"] = f"192.0.2.{number}"
            answer = log_in(client, code="x" if number < 5 else account.recovery_codes[0])
        assert answer.status_code == 429

    def test_of_a_code_that_was_right_begins_at_none_again(self, account, stranger, session):
        for code in ("x", "y", account.phone.code(), "z"):
            log_in(stranger, code=code)
        assert session.scalars(select(TwoFactor.failures)).one() == 1

    def test_of_one_code_sent_twice_at_once_succeeds_once(self, committed_users):
        user_id, secret = committed_users
        vault, together, code = _vault(), Barrier(4), pyotp.TOTP(secret).now()

        def use(_: int) -> bool:
            with session_scope() as session:
                together.wait()
                return two_factor.accepts(session, user_id, code, vault=vault)

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(use, range(4))) == [False, False, False, True]


def _vault() -> Vault:
    return Vault(DEVELOPMENT_KEY)


@pytest.fixture
def committed_users(committed_database):
    """A user with a second factor that other connections see."""
    with session_scope() as session:
        user = User(email="carl@example.com", name="Carl", password_hash="none")
        session.add(user)
        session.flush()
        made = two_factor.begin(session, user, vault=_vault())
        early = datetime.now(UTC) - timedelta(minutes=5)
        assert two_factor.confirm(session, user.id, pyotp.TOTP(made.secret).at(early), vault=_vault(), now=early)
        return user.id, made.secret
