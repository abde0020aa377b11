"""Addresses of users over HTTP: registered, verified, changed and taken back by links in mails."""

from sqlalchemy import select

from models.tables import Channel, LinkPurpose, Notification, User

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}
VERIFY, UNDO = LinkPurpose.VERIFY, LinkPurpose.UNDO


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sign_up(stranger, **changes) -> dict[str, str]:
    return bearer(stranger.post("/auth/register", json={**ADA, **changes}).json["token"])


def me(stranger, headers):
    return stranger.get("/auth/me", headers=headers).json.get("user")


def balance(stranger, headers) -> float:
    return stranger.get("/credits/balance", headers=headers).json["balance"]


def follow(stranger, token):
    return stranger.post("/auth/verify", json={"token": token})


def undo(stranger, token):
    return stranger.post("/auth/undo-email", json={"token": token})


def resend(stranger, headers):
    return stranger.post("/auth/verify/resend", headers=headers)


def change(stranger, headers, email):
    return stranger.put("/auth/profile", json={"email": email}, headers=headers)


def mailed(session, email: str) -> list[str]:
    """The kinds of what was mailed to this address, in any order: all of a test have the same time."""
    rows = session.scalars(select(Notification).where(Notification.channel == Channel.EMAIL)).all()
    to = {row.id: row.payload.get("to") or session.get_one(User, row.user_id).email for row in rows}
    return [row.kind.value for row in rows if to[row.id] == email]
