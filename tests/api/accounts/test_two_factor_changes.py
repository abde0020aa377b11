"""What needs a code of the second factor, and how the factor is renewed, removed and sealed again."""

import re

import pytest
from sqlalchemy import select

from models.services.accounts import password_resets, two_factor
from models.tables import AccessKey, AuditEntry, NotificationKind, Role, TwoFactor, User
from models.vault import Vault
from tests.support.api.two_factor import ADA, HEADER, log_in, news
from workers.notifications.texts import compose

SENSITIVE = [
    ("PUT", "/auth/profile", {"email": "new@example.com"}),
    ("POST", "/auth/change-password", {"currentPassword": ADA["password"], "newPassword": "better horse battery"}),
    ("POST", "/access-keys", {"name": "Program"}),
    ("DELETE", "/access-keys/00000000-0000-0000-0000-000000000000", None),
    ("PUT", "/api-keys/openai", {"key": "sk-0123456789abcdef0123"}),
    ("DELETE", "/api-keys/openai", None),
]


class TestChanges:
    @pytest.mark.parametrize(("method", "path", "json"), SENSITIVE)
    def test_take_a_code(self, account, method, path, json):
        refused = account.client.open(path, method=method, json=json)
        assert (refused.status_code, refused.json["code"]) == (403, "two_factor_code_required")
        wrong = account.client.open(path, method=method, json=json, headers={HEADER: "000x00"})
        assert (wrong.status_code, wrong.json["code"]) == (422, "wrong_code")
        right = account.client.open(path, method=method, json=json, headers={HEADER: account.phone.code()})
        expected = 404 if method == "DELETE" else 201 if path == "/access-keys" else 200
        assert right.status_code == expected

    def test_take_each_code_once(self, account):
        headers = {HEADER: account.phone.code()}
        assert account.client.post("/access-keys", json={"name": "P"}, headers=headers).status_code == 201
        assert account.client.post("/access-keys", json={"name": "P"}, headers=headers).json["code"] == "wrong_code"

    def test_of_the_name_take_none(self, account):
        assert account.client.put("/auth/profile", json={"name": "Ada L."}).status_code == 200

    def test_are_not_for_access_keys(self, account, app, session):
        made = account.client.post("/access-keys", json={"name": "P"}, headers={HEADER: account.phone.code()}).json
        program = app.test_client()
        program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {made['key']}"
        paths = [(method, path, json) for method, path, json in SENSITIVE]
        paths += [("DELETE", "/auth/two-factor", {}), ("POST", "/auth/two-factor/setup", {})]
        paths += [("POST", "/auth/two-factor/recovery-codes", {}), ("POST", "/auth/two-factor/confirm", {})]
        for method, path, json in paths:
            answer = program.open(path, method=method, json=json, headers={HEADER: account.recovery_codes[0]})
            assert (answer.status_code, answer.json["code"]) == (403, "insufficient_scope"), path
        assert len(session.scalars(select(AccessKey)).all()) == 1

    def test_that_are_not_valid_use_up_no_code(self, account):
        code = account.phone.code()
        assert account.client.post("/access-keys", json={"nam": ""}, headers={HEADER: code}).status_code == 422
        assert account.client.post("/access-keys", json={"name": "P"}, headers={HEADER: code}).status_code == 201

    def test_sent_again_with_one_idempotency_key_are_answered_again(self, account):
        headers = {HEADER: account.phone.code(), "Idempotency-Key": "one"}
        first, again = (account.client.post("/access-keys", json={"name": "P"}, headers=headers) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json["accessKey"]["id"] == again.json["accessKey"]["id"]


class TestLeavingIt:
    def test_takes_password_and_code(self, account, stranger):
        def off(password, code):
            return account.client.delete("/auth/two-factor", json={"password": password, "code": code})

        assert off("a wrong one", account.phone.code()).json["code"] == "wrong_password"
        assert off(ADA["password"], "123x").json["code"] == "wrong_code"
        assert off(ADA["password"], account.phone.again()).status_code == 200
        assert log_in(stranger).status_code == 200

    def test_without_having_it_says_so(self, pending):
        body = {"password": ADA["password"], "code": "123456"}
        assert pending.client.delete("/auth/two-factor", json=body).status_code == 404
        assert pending.client.post("/auth/two-factor/recovery-codes", json=body).status_code == 404

    def test_new_recovery_codes_replace_the_old_ones(self, account, stranger, session):
        body = {"password": ADA["password"], "code": account.phone.code()}
        made = account.client.post("/auth/two-factor/recovery-codes", json=body).json["recoveryCodes"]
        assert log_in(stranger, code=account.recovery_codes[0]).status_code == 401
        assert log_in(stranger, code=made[0]).status_code == 200
        assert {"enabled", "renewed"} <= set(news(session))

    def test_an_administrator_removes_it_with_a_reason(self, account, stranger, new_user, sign_in, session):
        boss = sign_in(new_user("grace@example.com", role=Role.ADMIN))
        ada = session.scalars(select(User.id).where(User.email == ADA["email"])).one()
        assert boss.delete(f"/admin/users/{ada}/two-factor", json={}).status_code == 422
        body = {"reason": "Lost the phone, showed a passport"}
        assert boss.delete(f"/admin/users/{ada}/two-factor", json=body).status_code == 204
        assert boss.delete(f"/admin/users/{ada}/two-factor", json=body).status_code == 404
        assert log_in(stranger).status_code == 200
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "auth.two_factor_removed")).one()
        assert (entry.subject_id, entry.data) == (ada, body)
        assert "removed" in news(session)

    def test_every_step_is_in_the_audit_log(self, account, stranger, session):
        log_in(stranger, code="wrong")
        account.client.delete("/auth/two-factor", json={"password": ADA["password"], "code": account.phone.code()})
        entries = set(session.scalars(select(AuditEntry.action)))
        assert {"auth.two_factor_enabled", "auth.wrong_code", "auth.two_factor_disabled"} <= entries


def test_a_password_reset_keeps_the_factor(account, stranger, session):
    requested = password_resets.request_reset(session, ADA["email"], None)
    password_resets.send_reset_mail(session, requested.id)
    token = password_resets.issue(session, requested.id)
    session.commit()
    new = {"token": token, "newPassword": "better horse battery"}
    assert stranger.post("/auth/reset-password/confirm", json=new).status_code == 200
    assert log_in(stranger, password=new["newPassword"]).json["code"] == "two_factor_required"
    assert log_in(stranger, password=new["newPassword"], code=account.recovery_codes[3]).status_code == 200


def test_the_secrets_are_sealed_again_with_a_new_key(account, session, settings):
    newer = Vault(f"new:{'QUFB' * 10}QUE=,{settings.encryption_keys}")
    assert two_factor.rotate(session, vault=newer, after=None, dry_run=True).sealed == 1
    assert two_factor.rotate(session, vault=newer, after=None).sealed == 1
    assert two_factor.rotate(session, vault=newer, after=None).sealed == 0
    user_id = session.scalars(select(TwoFactor.user_id)).one()
    only_new = Vault(f"new:{'QUFB' * 10}QUE=")
    assert two_factor.accepts(session, user_id, account.phone.code(), vault=only_new)


def test_every_change_has_a_text(account):
    for change in ("enabled", "disabled", "removed", "renewed", "recovery_used", "blocked"):
        assert len(re.findall(r"\w+", compose(NotificationKind.TWO_FACTOR, {"change": change}).body)) > 20
