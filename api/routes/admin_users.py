"""For administrators: users, their credits, everybody's transactions, the audit log, and the business in numbers.

The guard is that of `admin`, in which these routes stand.
"""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import current_user
from api.bodies import body, query, show
from api.deeds import caller_address
from api.idempotency import effect_key, idempotent
from api.openapi import Page, describes
from api.paging import page, page_query
from api.schemas.admin_users import (
    AdjustmentIn,
    AnalyticsQuery,
    AuditQuery,
    BusinessOut,
    DeedOut,
    FiguresOut,
    MovementOut,
    PersonDetailOut,
    PersonOut,
    TransactionsQuery,
    UsersQuery,
)
from api.schemas.base import Word
from api.schemas.subscriptions import standing
from api.session import db
from models.rules.periods import Grain
from models.services import administration, audit, credits, executions, figures, subscriptions
from models.services.allowances import allowances
from models.user import User

bp = Blueprint("users", __name__)
NEWEST = 10  # of each list of a user's page


@bp.get("/stats")
@describes(answers=BusinessOut)
def stats() -> ResponseReturnValue:
    """Recurring revenue, churn, conversion, activity, and what the last 30 days came to."""
    return show(BusinessOut, figures.stats(db()))


@bp.get("/analytics")
@describes(answers={"period": Word(Grain), "series": [FiguresOut]}, asks=AnalyticsQuery)
def analytics() -> ResponseReturnValue:
    """What each day, week or month came to."""
    grain = query(AnalyticsQuery)["period"]
    return {"period": grain, "series": show(FiguresOut, figures.series(db(), grain), many=True)}


@bp.get("/users")
@describes(answers=Page("users", PersonOut), asks=UsersQuery)
def users() -> ResponseReturnValue:
    """Users, the newest first."""
    args = page_query(UsersQuery)
    rows = administration.users(db(), **args)
    return page("users", show(PersonOut, rows, many=True), rows, args)


@bp.get("/users/<uuid:person_id>")
@describes(answers=PersonDetailOut)
def user(person_id: UUID) -> ResponseReturnValue:
    """One user: profile, wallet, subscription, usage, and what happened lately."""
    return show(PersonDetailOut, _at_a_glance(administration.user(db(), person_id)))


@bp.post("/users/<uuid:person_id>/credits")
@idempotent
@describes(answers={"transaction": MovementOut}, status=201, takes=AdjustmentIn, refuses=("insufficient_credits",))
def adjust(person_id: UUID) -> ResponseReturnValue:
    """Give a user credits, or take what is free; written down in the ledger and in the audit log."""
    asked = body(AdjustmentIn)
    moved = administration.adjust(
        db(), current_user(), person_id, **asked, address=caller_address(), key=effect_key(current_user().id)
    )
    return {"transaction": show(MovementOut, moved)}, 201


@bp.get("/transactions")
@describes(answers=Page("transactions", MovementOut), asks=TransactionsQuery)
def transactions() -> ResponseReturnValue:
    """Everybody's transactions, the newest first."""
    args = page_query(TransactionsQuery)
    rows = administration.transactions(db(), **args)
    return page("transactions", show(MovementOut, rows, many=True), rows, args)


@bp.get("/audit")
@describes(answers=Page("entries", DeedOut), asks=AuditQuery)
def audit_log() -> ResponseReturnValue:
    """Who did what to whom, the newest first."""
    args = page_query(AuditQuery)
    rows = audit.entries(db(), **args)
    return page("entries", show(DeedOut, rows, many=True), rows, args)


def _at_a_glance(person: User) -> dict[str, object]:
    subscription = standing(person, subscriptions.current(db(), person))
    return {
        "user": person,
        "wallet": credits.balance(db(), person.id),
        "subscription": {**subscription, "usage": allowances(db(), person)},
        "executions": executions.list_owned(db(), person, limit=NEWEST),
        "transactions": credits.history(db(), person.id, limit=NEWEST),
        "audit": audit.entries(db(), subject=person.id, limit=NEWEST),
    }
