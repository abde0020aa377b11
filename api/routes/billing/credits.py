"""The caller's wallet and its history, and the price list."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.http.paging import page, page_query
from api.http.parsing import show
from api.http.session import db, reads_replica
from api.openapi import Page, describes
from api.schemas.base import PageQuery
from api.schemas.billing.credits import BalanceOut, CostsOut, PackageOut, TransactionOut
from models.rules.prices.charging import RULES
from models.rules.prices.pricing import COSTS, PACKAGES, PRICE_LIST
from models.services.credits import ledger

bp = Blueprint("credits", __name__, url_prefix="/credits")


@bp.get("/balance")
@signed_in
@describes(response=BalanceOut)
def balance() -> ResponseReturnValue:
    """Get the caller's balance, the credits held by runs, and the credits available to spend."""
    return show(BalanceOut, ledger.balance(db(), current_user().id))


@bp.get("/history")
@signed_in
@describes(response=Page("transactions", TransactionOut), query=PageQuery)
@reads_replica
def history() -> ResponseReturnValue:
    """List the changes of the caller's balance, newest first."""
    args = page_query(PageQuery)
    rows = ledger.history(db(), current_user().id, **args)
    return page("transactions", show(TransactionOut, rows, many=True), rows, args)


@bp.get("/costs")
@signed_in
@describes(response=CostsOut)
def costs() -> ResponseReturnValue:
    """Get the price of each operation, and the rules by which runs are charged."""
    return {"costs": COSTS, "priceList": PRICE_LIST, "rules": RULES}


@bp.get("/packages")
@signed_in
@describes(response={"packages": [PackageOut]})
def packages() -> ResponseReturnValue:
    """List the packages of credits that can be bought."""
    return {"packages": show(PackageOut, PACKAGES.values(), many=True)}
