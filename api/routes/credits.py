"""The wallet, its history, and what things cost."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import show
from api.openapi import Page, describes
from api.paging import page, page_query
from api.schemas.base import PageQuery
from api.schemas.credits import BalanceOut, CostsOut, PackageOut, TransactionOut
from api.session import db
from models.rules.pricing import COSTS, PACKAGES, PRICE_LIST
from models.services import credits

bp = Blueprint("credits", __name__, url_prefix="/credits")


@bp.get("/balance")
@signed_in
@describes(answers=BalanceOut)
def balance() -> ResponseReturnValue:
    """What there is, what is held by runs, and what may be spent."""
    return show(BalanceOut, credits.balance(db(), current_user().id))


@bp.get("/history")
@signed_in
@describes(answers=Page("transactions", TransactionOut), asks=PageQuery)
def history() -> ResponseReturnValue:
    """Every change of the balance, newest first."""
    args = page_query(PageQuery)
    rows = credits.history(db(), current_user().id, **args)
    return page("transactions", show(TransactionOut, rows, many=True), rows, args)


@bp.get("/costs")
@signed_in
@describes(answers=CostsOut)
def costs() -> ResponseReturnValue:
    """What each operation costs."""
    return {"costs": COSTS, "priceList": PRICE_LIST}


@bp.get("/packages")
@signed_in
@describes(answers={"packages": [PackageOut]})
def packages() -> ResponseReturnValue:
    """What credits can be bought in."""
    return {"packages": show(PackageOut, PACKAGES.values(), many=True)}
