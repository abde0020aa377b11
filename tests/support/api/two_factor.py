"""Ada with a second factor, and the app that gives her the codes."""

from datetime import UTC, datetime, timedelta

import pyotp
from sqlalchemy import select, update

from models.tables import Notification, NotificationKind, TwoFactor
from tests.support.api.accounts import register

ADA = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}
HEADER = "Two-Factor-Code"


class Phone:
    """An authenticator app: every code it gives is of a later step than the one before, as if time had passed."""

    def __init__(self, secret: str) -> None:
        self._totp, self._step = pyotp.TOTP(secret), -2

    def code(self) -> str:
        self._step += 1
        return self._totp.at(datetime.now(UTC), counter_offset=self._step)

    def again(self) -> str:
        return self._totp.at(datetime.now(UTC), counter_offset=self._step)


class Account:
    """Ada with a second factor, and one client that is signed in as her."""

    def __init__(self, app, stranger) -> None:
        self.client = app.test_client()
        self.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {register(stranger, ADA)}"
        made = self.client.post("/auth/two-factor/setup", json={"password": ADA["password"]})
        assert made.status_code == 201
        self.secret, self.uri = made.json["secret"], made.json["uri"]
        self.phone = Phone(self.secret)

    def enable(self) -> "Account":
        told = self.client.post("/auth/two-factor/confirm", json={"code": self.phone.code()})
        assert told.status_code == 200, told.json
        self.recovery_codes = told.json["recoveryCodes"]
        return self


def log_in(stranger, **more):
    body = {"email": ADA["email"], "password": ADA["password"], **more}
    return stranger.post("/auth/login", json=body)


def age_failures(session) -> None:
    session.execute(update(TwoFactor).values(failed_at=TwoFactor.failed_at - timedelta(minutes=16)))
    session.commit()


def news(session) -> list[str]:
    told = select(Notification.payload).where(Notification.kind == NotificationKind.TWO_FACTOR)
    return [payload["change"] for payload in session.scalars(told.order_by(Notification.created_at))]
