"""Ada, who has one of most things and leaves; her every text has a word that is found nowhere else."""

from decimal import Decimal

from sqlalchemy import select

from models.services.accounts import addresses, deletions
from models.services.executions import retention
from models.services.notifications import notifications
from models.services.orchestration import deadlines
from models.tables import Notification, User
from tests.support.api.graphs import two_steps, workflow
from tests.support.api.routes import made

CANARY = "zanzibar-canary"
ADA = {"email": f"{CANARY}@example.com", "password": "correct horse battery", "name": f"Ada {CANARY}"}


def prove_address(session) -> None:
    """Ada followed the link in the mail, which brings the welcome credits."""
    user = session.scalars(select(User).where(User.email == ADA["email"])).one()
    addresses.confirm(session, user, welcome_credits=lambda _: Decimal(10))
    session.commit()


def leave(client, password=ADA["password"]):
    return client.delete("/auth/me", json={"password": password})


def furnish(client) -> None:
    """One of most things, with the canary in every text of the user's."""
    graph = two_steps()
    graph["nodes"][0]["label"] = CANARY
    workflow_id = made(client, "/workflows", {**workflow(), **graph, "name": CANARY})["workflow"]["id"]
    made(client, f"/workflows/{workflow_id}/execute", {"input": CANARY})
    made(client, "/templates", {"name": CANARY, "category": "c", **graph})
    key = made(client, "/access-keys", {"name": CANARY})["accessKey"]
    client.delete(f"/access-keys/{key['id']}")
    client.put("/api-keys/openai", json={"key": "sk-0123456789abcdef0123"})
    client.put("/notifications/preferences", json={"preferences": [{"topic": "low_balance", "push": False}]})
    client.post("/devices", json={"token": f"ExponentPushToken[{CANARY}]"})


def end_overdue(session) -> None:
    for execution_id in deadlines.late(session):
        deadlines.end(session, execution_id)


def sweep(session) -> None:
    """Run the periodic tasks that beat sends, in their order."""
    end_overdue(session)
    for mail in session.scalars(select(Notification.id).where(Notification.kind == "account_deleted")).all():
        notifications.sent(session, mail)
    for _ in range(20):
        done = [deletions.erase(session), retention.expire(session), retention.clear(session)]
        if not any(done):
            return
    raise AssertionError("it never ends")
