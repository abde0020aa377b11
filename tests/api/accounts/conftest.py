"""Users of accounts: Ada with a verified address, or with a second factor."""

import pytest
from sqlalchemy import func, select, update

from models.services.accounts import email_links
from models.tables import EmailLink, LinkPurpose, User
from tests.support.api.addresses import ADA, VERIFY, follow, sign_up
from tests.support.api.two_factor import Account


@pytest.fixture
def link(session):
    """The token of the newest link that went to an address, made as for its mail."""

    def issue(email: str = ADA["email"], purpose: LinkPurpose = VERIFY, *, of: str | None = None) -> str | None:
        newest = select(EmailLink).where(EmailLink.email == email, EmailLink.purpose == purpose)
        if of is not None:
            newest = newest.join(User, User.id == EmailLink.user_id).where(User.email == of)
        row = session.scalars(newest.order_by(EmailLink.created_at.desc(), EmailLink.closed_at.desc()).limit(1)).one()
        token = email_links.issue(session, row.id)
        session.commit()
        return token

    return issue


@pytest.fixture
def ada(stranger, link):
    """The headers of a user with a verified address."""
    headers = sign_up(stranger)
    assert follow(stranger, link()).status_code == 200
    return headers


@pytest.fixture
def pending(app, stranger) -> Account:
    return Account(app, stranger)


@pytest.fixture
def account(pending, session) -> Account:
    session.execute(update(User).values(email_verified_at=func.now()))
    session.commit()
    return pending.enable()
