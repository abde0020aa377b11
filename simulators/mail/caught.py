"""The caught mails, and the push notifications with their tickets."""

import threading
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from typing import Any

KEPT = 1000


@dataclass(frozen=True)
class Caught:
    """One mail as it was received."""

    at: datetime
    to: tuple[str, ...]
    encrypted: bool
    login: str  # the login name, empty without one
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        return body.get_content() if body else ""


@dataclass
class MailCatcher:
    """A running catcher: its addresses, and the caught messages, oldest first."""

    smtp_url: str = ""
    url: str = ""
    mails: list[Caught] = field(default_factory=list)
    pushes: list[dict[str, Any]] = field(default_factory=list)
    tickets: dict[str, str] = field(default_factory=dict)  # the token of each accepted push
    failures: list[str] = field(default_factory=list)  # responses to the next mails' DATA, or "hang up", "hang"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, mail: Caught) -> None:
        """Store a mail, and drop the oldest of too many."""
        with self.lock:
            self.mails.append(mail)
            del self.mails[:-KEPT]

    def next_failure(self) -> str:
        """Take the next failure that a test requested; empty without one."""
        with self.lock:
            return self.failures.pop(0) if self.failures else ""
