"""The audit log of an account, as its user sees it."""

from sqlalchemy import select

from models.tables import AuditEntry
from tests.api.accounts.test_sessions import ADA, bearer, sign_up


class TestAudit:
    def test_shows_actions_and_their_actors(self, stranger):
        token = sign_up(stranger)
        stranger.post("/auth/login", json={"email": ADA["email"], "password": "a wrong guess"})
        entries = stranger.get("/auth/audit", headers=bearer(token)).json["entries"]
        assert {entry["action"] for entry in entries} == {"auth.registered", "auth.login", "auth.login_failed"}
        by_you = {entry["action"]: entry["byYou"] for entry in entries}
        assert by_you == {"auth.registered": True, "auth.login": True, "auth.login_failed": False}
        assert {entry["address"] for entry in entries} == {"127.0.0.1"}
        assert "guess" not in str(entries)

    def test_keeps_from_the_user_where_an_administrator_sits(self, client, session, user, other):
        session.add(
            AuditEntry(
                actor_id=other.id, action="credits.adjusted", subject_id=user.id, address="10.0.0.1", data={"why": "x"}
            )
        )
        session.commit()
        (entry,) = client.get("/auth/audit").json["entries"]
        assert (entry["byYou"], entry["address"], entry["data"]) == (False, None, None)

    def test_a_guess_at_an_unknown_account_is_audited_too(self, stranger, session):
        stranger.post("/auth/login", json={"email": "nobody@example.com", "password": "a wrong guess"})
        (entry,) = session.scalars(select(AuditEntry)).all()
        assert (entry.action, entry.subject_id, entry.data) == ("auth.login_failed", None, None)
