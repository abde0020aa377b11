"""For administrators: users, their credits, all transactions, the audit log, and analytics of the business.

These routes are nested in `admin`, whose guard protects them.
"""

from uuid import UUID

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.auth.audit import record
from api.auth.authenticate import current_user
from api.http.client_address import caller
from api.http.paging import page, page_query
from api.http.parsing import body, query, show
from api.http.session import db, reads_replica
from api.jobs.idempotency import effect_key, idempotent
from api.openapi import Page, describes
from api.schemas.accounts.two_factor import ReasonIn
from api.schemas.admin.users import (
    AdjustmentIn,
    AnalyticsQuery,
    AuditEntryOut,
    AuditQuery,
    BusinessOut,
    FiguresOut,
    GrownFiguresOut,
    GrowthOut,
    MovementOut,
    PersonDetailOut,
    PersonOut,
    TransactionsQuery,
    UsersQuery,
)
from api.schemas.base import EnumText
from api.schemas.billing.subscriptions import subscription_state
from models.rules.values.periods import Grain
from models.services.accounts import administration, two_factor
from models.services.credits import ledger
from models.services.credits.quotas import quotas
from models.services.executions import executions
from models.services.operations import analytics as figures
from models.services.operations import audit, growth
from models.services.stripe import subscriptions
from models.tables import User

bp = Blueprint("users", __name__)
NEWEST = 10  # rows of each list in the details of a user


@bp.get("/stats")
@describes(response=BusinessOut)
@reads_replica
def stats() -> ResponseReturnValue:
    """Get recurring revenue, churn, conversion, activity, and the totals of the last 30 days."""
    return show(BusinessOut, figures.stats(db()))


@bp.get("/analytics")
@describes(response={"period": EnumText(Grain), "series": [GrownFiguresOut]}, query=AnalyticsQuery)
@reads_replica
def analytics() -> ResponseReturnValue:
    """Get the totals of each day, week, month or year."""
    grain = query(AnalyticsQuery)["period"]
    periods = figures.series(db(), grain)
    grown = growth.growth(db(), [one.start for one in periods], [one.sign_ups for one in periods])
    shown = zip(show(FiguresOut, periods, many=True), show(GrowthOut, grown, many=True), strict=True)
    return {"period": grain, "series": [{**totals, "growth": numbers} for totals, numbers in shown]}


@bp.get("/users")
@describes(response=Page("users", PersonOut), query=UsersQuery)
@reads_replica
def users() -> ResponseReturnValue:
    """List users, newest first."""
    args = page_query(UsersQuery)
    rows = administration.users(db(), **args)
    return page("users", show(PersonOut, rows, many=True), rows, args)


@bp.get("/users/<uuid:person_id>")
@describes(response=PersonDetailOut)
def user(person_id: UUID) -> ResponseReturnValue:
    """Get a user: profile, wallet, subscription, usage, and recent activity."""
    return show(PersonDetailOut, _summary(administration.user(db(), person_id)))


@bp.post("/users/<uuid:person_id>/credits")
@idempotent
@describes(response={"transaction": MovementOut}, status=201, body=AdjustmentIn, errors=("insufficient_credits",))
def adjust(person_id: UUID) -> ResponseReturnValue:
    """Add credits to a user's balance, or remove available ones; recorded in the ledger and in the audit log."""
    adjustment = body(AdjustmentIn)
    transaction = administration.adjust(
        db(), current_user(), person_id, **adjustment, address=caller(), key=effect_key(current_user().id)
    )
    return {"transaction": show(MovementOut, transaction)}, 201


@bp.delete("/users/<uuid:person_id>/two-factor")
@describes(body=ReasonIn)
def remove_two_factor(person_id: UUID) -> ResponseReturnValue:
    """Turn off the second factor of a user who lost device and recovery codes; the user is notified."""
    reason = body(ReasonIn)["reason"]
    two_factor.remove(db(), person_id, change="removed")
    record("auth.two_factor_removed", person_id, reason=reason)
    return Response(status=204)


@bp.get("/transactions")
@describes(response=Page("transactions", MovementOut), query=TransactionsQuery)
@reads_replica
def transactions() -> ResponseReturnValue:
    """List the transactions of all users, newest first."""
    args = page_query(TransactionsQuery)
    rows = administration.transactions(db(), **args)
    return page("transactions", show(MovementOut, rows, many=True), rows, args)


@bp.get("/audit")
@describes(response=Page("entries", AuditEntryOut), query=AuditQuery)
@reads_replica
def audit_log() -> ResponseReturnValue:
    """List the audit log, newest first."""
    args = page_query(AuditQuery)
    rows = audit.entries(db(), **args)
    return page("entries", show(AuditEntryOut, rows, many=True), rows, args)


def _summary(person: User) -> dict[str, object]:
    subscription = subscription_state(person, subscriptions.current(db(), person))
    return {
        "user": person,
        "wallet": ledger.balance(db(), person.id),
        "subscription": {**subscription, "usage": quotas(db(), person)},
        "executions": executions.list_owned(db(), person, limit=NEWEST),
        "transactions": ledger.history(db(), person.id, limit=NEWEST),
        "audit": audit.entries(db(), subject=person.id, limit=NEWEST),
    }
