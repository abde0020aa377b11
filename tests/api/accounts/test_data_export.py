"""A copy of a user's data: requested, built row by row, mailed as a link, deleted after a week."""

import io
import json
import zipfile
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

import models.tables  # noqa: F401  # so that the metadata has every table
from models.base import Base
from models.services.accounts import data_exports, deletions
from models.services.operations.pruning import prune
from models.tables import DataExport, DataExportPart, ExportStatus, Notification, NotificationKind, User
from models.vault import Vault
from settings import DEVELOPMENT_KEY
from tasks.queue import TaskName
from tests.support.api.graphs import workflow
from tests.support.api.routes import made
from workers import exports


@pytest.fixture
def furnished(client):
    workflow_id = made(client, "/workflows", {**workflow(), "name": "Mine"})["workflow"]["id"]
    made(client, f"/workflows/{workflow_id}/execute", {"input": "my input"})
    made(client, "/access-keys", {"name": "My program"})
    client.put("/api-keys/openai", json={"key": "sk-0123456789abcdef9999"})
    return client


def ask(client) -> UUID:
    answer = client.post("/auth/export", json={})
    assert answer.status_code == 202
    return UUID(answer.json["id"])


def fetch(client, session, export_id):
    token = data_exports.issue(session, export_id)
    session.commit()
    return client.get(f"/auth/export/{export_id}?token={token}")


def opened(answer) -> dict[str, list]:
    with zipfile.ZipFile(io.BytesIO(answer.get_data())) as archive:
        assert archive.testzip() is None
        return {name.removesuffix(".json"): json.loads(archive.read(name)) for name in archive.namelist()}


class TestAsking:
    def test_enqueues_a_task(self, client, sent):
        export_id = ask(client)
        assert (sent[-1].task, sent[-1].ids) == (TaskName.BUILD_EXPORT, {"export_id": str(export_id)})

    def test_is_for_once_a_day(self, client, session):
        ask(client)
        refused = client.post("/auth/export")
        assert (refused.status_code, refused.json["code"]) == (409, "export_limit_reached")
        session.execute(update(DataExport).values(created_at=func.now() - timedelta(hours=25), status="failed"))
        session.commit()
        assert client.post("/auth/export").status_code == 202

    def test_is_not_for_access_keys(self, app, client):
        program = app.test_client()
        key = made(client, "/access-keys", {"name": "P"})["key"]
        program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        assert program.post("/auth/export").json["code"] == "insufficient_scope"


class TestTheFile:
    def test_has_what_belongs_to_the_user(self, furnished, stranger, session, user):
        export_id = ask(furnished)
        assert len(exports.build(export_id)) == 1
        found = opened(fetch(stranger, session, export_id))
        assert set(found) == {file for file, _ in exports.EXPORTED.values()}
        assert [row["email"] for row in found["profile"]] == [user.email]
        assert [row["name"] for row in found["workflows"]] == ["Mine"]
        assert [row["input"] for row in found["runs"]] == ["my input"]
        assert [row["name"] for row in found["access-keys"]] == ["My program"]
        assert (len(found["workflow-versions"]), len(found["events"])) == (1, 1)
        assert found["credits"][0]["amount"] == "10.00"

    def test_has_no_secret_and_nothing_of_others(self, furnished, stranger, session, other, sign_in):
        made(sign_in(other), "/workflows", {**workflow(), "name": "Hers"})
        export_id = ask(furnished)
        exports.build(export_id)
        text = json.dumps(opened(fetch(stranger, session, export_id)))
        for word in ("Hers", other.email, str(other.id), "sk-0123456789", "Hash", "ciphertext", "nonce", "tokenEpoch"):
            assert word not in text

    def test_is_built_once_and_by_one_worker(self, client, session):
        export_id = ask(client)
        exports.build(export_id)
        before = session.scalars(select(func.count()).select_from(DataExportPart)).one()
        assert exports.build(export_id) == []
        assert session.scalars(select(func.count()).select_from(DataExportPart)).one() == before

    def test_is_built_again_after_a_worker_that_died(self, client, stranger, session):
        export_id = ask(client)
        assert data_exports.claim(session, export_id)
        data_exports.add_part(session, export_id, 1, 0, b"half")
        assert exports.build(export_id) == []
        session.execute(update(DataExport).values(started_at=func.now() - timedelta(hours=1)))
        assert data_exports.due(session) == [export_id]
        exports.build(export_id)
        assert opened(fetch(stranger, session, export_id))["profile"]

    def test_is_cut_where_it_is_too_large(self, furnished, stranger, session, monkeypatch):
        monkeypatch.setattr(exports, "MAX_BYTES", 10)
        export_id = ask(furnished)
        exports.build(export_id)
        found = opened(fetch(stranger, session, export_id))
        assert "workflows" in found["truncated"]
        assert found["workflows"] == []

    def test_has_every_row_however_few_are_read_at_a_time(self, furnished, stranger, session, monkeypatch):
        for number in range(5):
            made(furnished, "/access-keys", {"name": f"Program {number}"})
        monkeypatch.setattr(exports, "ROWS", 2)
        export_id = ask(furnished)
        exports.build(export_id)
        names = [row["name"] for row in opened(fetch(stranger, session, export_id))["access-keys"]]
        assert sorted(names) == ["My program", *(f"Program {number}" for number in range(5))]

    def test_is_kept_in_small_pieces(self, furnished, stranger, session, monkeypatch):
        monkeypatch.setattr(exports, "PART_BYTES", 100)
        export_id = ask(furnished)
        exports.build(export_id)
        sizes = session.scalars(select(func.octet_length(DataExportPart.content))).all()
        assert len(sizes) > 10
        assert max(sizes) == 100
        answer = fetch(stranger, session, export_id)
        assert answer.headers["Content-Length"] == str(sum(sizes))
        assert opened(answer)["profile"]


class TestTheLink:
    def test_opens_with_its_own_token_only_and_for_a_week(self, client, stranger, session):
        export_id = ask(client)
        exports.build(export_id)
        assert client.get(f"/auth/export/{export_id}").status_code == 404
        assert client.get(f"/auth/export/{export_id}?token=x").status_code == 404
        assert fetch(stranger, session, export_id).status_code == 200
        session.execute(update(DataExport).values(ready_at=func.now() - timedelta(days=8)))
        assert fetch(stranger, session, export_id).status_code == 404

    def test_is_mailed_without_its_token_in_any_row(self, client, session):
        export_id = ask(client)
        exports.build(export_id)
        told = session.scalars(select(Notification).where(Notification.kind == NotificationKind.DATA_EXPORT)).one()
        assert told.payload == {"exportId": str(export_id)}
        token = data_exports.issue(session, export_id)
        assert token.encode() not in session.scalars(select(DataExport.token_hash)).one()

    def test_is_dead_after_a_week_and_the_file_gone(self, client, session):
        exports.build(ask(client))
        session.execute(update(DataExport).values(created_at=func.now() - timedelta(days=8)))
        assert prune(session).data_exports == 1
        assert session.scalars(select(func.count()).select_from(DataExportPart)).one() == 0

    def test_goes_with_the_account(self, client, session, user):
        exports.build(ask(client))
        deletions.delete_account(session, session.get_one(User, user.id), vault=Vault(DEVELOPMENT_KEY))
        assert session.scalars(select(func.count()).select_from(DataExportPart)).one() == 0


def test_an_export_of_an_account_that_is_deleted_meanwhile_is_dropped(client, session):
    export_id = ask(client)
    session.execute(update(DataExport).values(status=ExportStatus.BUILDING, tries=7))
    with pytest.raises(data_exports.NotFound):
        data_exports.add_part(session, export_id, 6, 0, b"")


def test_every_table_that_refers_to_a_user_is_decided_upon():
    """A new table is red here until it is in the export, or it is said why it is not."""
    referring = {
        table.name
        for table in Base.metadata.sorted_tables
        if any(key.column.table.name == "users" for column in table.c for key in column.foreign_keys)
        or {"user_id", "owner_id", "actor_id"} & set(table.c.keys())
    }
    decided = set(exports.EXPORTED) | set(exports.LEFT_OUT)
    assert referring <= decided
    assert decided - referring == {"users", "workflow_versions", "node_executions", "execution_events"}


def test_no_column_that_hides_a_secret_is_exported():
    for name, (_, hidden) in exports.EXPORTED.items():
        shown = set(Base.metadata.tables[name].c.keys()) - hidden
        assert not [word for word in shown if any(part in word for part in ("hash", "secret", "cipher", "nonce"))], name
