"""Operators find, change, export and delete users, and adjust their credits; every change is in the audit log."""

import os
import pwd
import socket
from decimal import Decimal

import pytest

from models.rules.prices.pricing import Tier
from models.services.accounts import data_exports
from models.services.credits import ledger
from models.services.reconciliation import tiers
from models.services.stripe import granted_tiers
from models.tables import Execution, ExportStatus, Role, User
from tasks.queue import TaskName
from tests.support import factories

ME = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


@pytest.fixture
def ada(session):
    return factories.user(session, email="Ada@example.com", name="Ada \x1b[31mL", credits=100)


class TestUsers:
    def test_are_found_by_a_part_of_their_address(self, manage, ada):
        found = manage("users", "find", "ada@ex", "--json").document
        assert [one["id"] for one in found] == [str(ada.id)]
        assert manage("users", "find", "nobody", "--json").document == []
        assert manage("users", "find", "nobody").out == "No user matches.\n"

    def test_cannot_control_the_terminal_with_their_names(self, manage, ada):
        shown = manage("users", "find", "ada").out
        assert "\x1b" not in shown
        assert "Ada \\x1b[31mL" in shown

    def test_are_shown_with_their_wallet_and_runs(self, session, manage, ada):
        run = factories.execution(session, factories.workflow(session, ada))
        shown = manage("users", "show", ada.id, "--json").document
        assert (shown["balance"], shown["held"], shown["runs"][0]["id"]) == (100.0, 1.2, str(run.id))
        assert "balance: 100" in manage("users", "show", "ADA@example.com").out

    def test_unknown_ones_are_refused_with_a_sentence(self, manage):
        answer = manage("users", "show", "nobody@example.com")
        assert (answer.status, answer.err) == (1, "Error: There is no such user.\n")

    def test_become_administrators_and_stop_being_some(self, session, manage, ada, last_entry):
        assert manage("users", "grant", "ada@example.com").out == "Ada@example.com has the role admin now.\n"
        session.refresh(ada)
        assert ada.role is Role.ADMIN
        entry = last_entry()
        assert (entry.action, entry.actor_id, entry.subject_id) == ("auth.role_changed", None, ada.id)
        assert entry.data == {"operator": ME, "role": "admin"}
        assert manage("users", "revoke", ada.id, "--json").document == {"id": str(ada.id), "role": "user"}

    def test_get_a_tier_that_no_subscription_takes_away(self, session, manage, ada, last_entry):
        answer = manage("users", "tier", ada.id, "premium", "--reason", "A partner", "--json")
        assert answer.document["tier"] == "premium"
        assert (last_entry().action, last_entry().data["reason"]) == ("auth.tier_granted", "A partner")
        granted_tiers.update_tier(session, ada.id)
        assert session.get_one(User, ada.id, populate_existing=True).subscription_tier is Tier.PREMIUM
        assert [one for one in tiers.list_wrong(session) if one.user_id == ada.id] == []
        ended = manage("users", "tier", ada.id, "none", "--reason", "No more", "--json")
        assert ended.document["tier"] == "free"
        assert [one for one in tiers.list_wrong(session) if one.user_id == ada.id] == []

    def test_a_granted_tier_that_is_not_applied_is_found(self, session, ada):
        session.query(User).filter_by(id=ada.id).update({"granted_tier": Tier.ENTERPRISE})
        (wrong,) = (one for one in tiers.list_wrong(session) if one.user_id == ada.id)
        assert (wrong.tier, wrong.granted) == (Tier.FREE, Tier.ENTERPRISE)
        assert tiers.raise_to_granted(session, wrong)
        assert [one for one in tiers.list_wrong(session) if one.user_id == ada.id] == []

    def test_are_locked_with_their_runs_and_unlocked(self, session, manage, ada, last_entry):
        run = factories.execution(session, factories.workflow(session, ada))
        assert manage("users", "lock", ada.id, "--reason", "Stolen card", "--stop-runs").status == 0
        assert last_entry().data == {"operator": ME, "reason": "Stolen card", "runsStopped": True}
        assert session.get_one(User, ada.id, populate_existing=True).locked_at is not None
        assert session.get_one(Execution, run.id, populate_existing=True).cancel_requested_at is not None
        assert manage("users", "unlock", ada.id).out == "Ada@example.com is unlocked.\n"
        assert session.get_one(User, ada.id, populate_existing=True).locked_at is None

    def test_are_exported_by_a_worker(self, manage, ada, sent, last_entry):
        document = manage("users", "export", ada.id, "--json").document
        assert sent[-1].task is TaskName.BUILD_EXPORT
        assert sent[-1].ids == {"export_id": document["id"]}
        assert last_entry().data["operator"] == ME

    def test_an_export_is_written_to_a_file(self, session, manage, ada, tmp_path, sent, monkeypatch):
        def build(message):  # as a worker does, when it gets the message
            export_id = message.ids["export_id"]
            _, attempt = data_exports.claim(session, export_id)
            for number, part in enumerate((b"first", b"second")):
                data_exports.add_part(session, export_id, attempt, number, part)
            data_exports.finish(session, export_id, attempt, 11)
            session.commit()

        monkeypatch.setattr("tasks.queue._publisher", build)
        file = tmp_path / "data.zip"
        answer = manage("users", "export", ada.id, "--to", file, "--json")
        assert answer.document["bytes"] == 11
        assert file.read_bytes() == b"firstsecond"
        assert data_exports.status(session, answer.document["id"]) is ExportStatus.READY

    def test_are_deleted_only_after_a_yes(self, session, manage, ada, last_entry):
        refused = manage("users", "delete", ada.id, "--reason", "asked by mail", said="n\n")
        assert (refused.status, ada.deleted_at) == (1, None)
        assert "This cannot be undone" in refused.err
        assert manage("users", "delete", ada.id, "--reason", "asked by mail", "--yes").status == 0
        session.refresh(ada)
        assert ada.deleted_at is not None
        assert last_entry("auth.account_deleted").data == {"operator": ME, "reason": "asked by mail"}


class TestCredits:
    def test_are_shown(self, manage, ada):
        shown = manage("credits", "balance", ada.id, "--json").document
        assert (shown["balance"], shown["held"], len(shown["transactions"])) == (100.0, 0.0, 1)

    def test_are_added_with_a_reason_once_per_key(self, session, manage, ada, last_entry):
        for _ in range(2):
            answer = manage("credits", "adjust", ada.id, "5.50", "--reason", "sorry", "--key", "T-1", "--yes", "--json")
            assert answer.document["balance"] == 105.5
        assert ledger.balance(session, ada.id).balance == Decimal("105.50")
        entry = last_entry()
        assert (entry.action, entry.data["operator"], entry.data["reason"]) == ("credits.adjusted", ME, "sorry")

    def test_are_removed_as_far_as_they_are_available(self, session, manage, ada):
        assert manage("credits", "adjust", ada.id, "-40", "--reason", "a mistake", said="y\n").status == 0
        assert ledger.balance(session, ada.id).balance == 60
        refused = manage("credits", "adjust", ada.id, "-61", "--reason", "a mistake", "--yes")
        assert refused.status == 1
        assert "60" in refused.err

    @pytest.mark.parametrize("amount", ["0", "1.234", "NaN", "many", "1e99"])
    def test_are_adjusted_by_amounts_only(self, manage, ada, amount):
        assert manage("credits", "adjust", ada.id, amount, "--reason", "x", "--yes").status == 2
