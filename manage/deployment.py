"""The deployment that a command works on, and the operator who runs it."""

import logging
import os
import pwd
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import click
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import logs
from models.db import SessionFactory, connect, session_scope
from models.errors import NotFound
from models.services.accounts import accounts, administration
from models.services.operations import audit
from models.tables import User
from models.vault import Vault
from settings import Settings, process_settings
from tasks import publisher


@contextmanager
def transaction() -> Iterator[Session]:
    """A transaction in the database of the settings; connects this process to its servers on first use."""
    if SessionFactory.kw["bind"] is None:
        connect_to(process_settings())
    with session_scope() as session:
        yield session


def connect_to(settings: Settings) -> None:
    """Connect this process to the servers of `settings`."""
    if not settings.database_url:
        raise click.ClickException(f"The role {settings.role} has no database: run this beside the API.")
    logs.configure(settings.log_format, level=logging.WARNING, stream=sys.stderr)
    connect(settings.database_url, pool_size=2)
    publisher.install(settings)


def disconnect() -> None:
    """Close the connections of this process, because the database is being replaced."""
    bind = SessionFactory.kw["bind"]
    if isinstance(bind, Engine):
        bind.dispose()


def operator() -> str:
    """Who runs this command, for the audit log: the user of the operating system and the host."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an entry
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def record(session: Session, action: str, subject: UUID | None = None, **data: Any) -> None:
    """Record an action of the operator in the audit log, in the transaction of the action."""
    audit.record(session, actor=None, action=action, subject=subject, data={"operator": operator(), **data})


def user(session: Session, who: str) -> User:
    """The user with this id or email address; raises `NotFound`."""
    try:
        return administration.user(session, UUID(who))
    except ValueError:
        found = accounts.by_email(session, who)
    if found is None:
        raise NotFound("user")
    return found


def vault() -> Vault:
    """The vault of the deployment's encryption keys."""
    keys = process_settings().encryption_keys
    if not keys:
        raise click.ClickException("This needs ENCRYPTION_KEYS: run it beside the API or worker-executions.")
    return Vault(keys)
