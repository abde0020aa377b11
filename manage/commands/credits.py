"""Credits of users."""

from decimal import Decimal, InvalidOperation

import click

from manage.deployment import operator, transaction, user
from manage.groups import ManageGroup, confirm, confirmed, output
from models.services.accounts import administration
from models.services.credits import ledger


class CreditAmount(click.ParamType[Decimal, str]):
    """Credits with at most two decimals, not 0; below 0 to remove some."""

    name = "amount"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Parse an amount, or fail with a sentence."""
        try:
            amount = Decimal(value)
        except InvalidOperation:
            self.fail(f"{value} is no number.", param, ctx)
        if not amount.is_finite() or not 0 < abs(amount) < 10**9 or amount != round(amount, 2):
            self.fail("It must have at most two decimals and not be 0.", param, ctx)
        return amount


@click.group(cls=ManageGroup)
def credits() -> None:
    """Show and adjust users' credits."""


@credits.command()
@click.argument("who")
@click.option("--limit", type=click.IntRange(0, 1000), default=10, show_default=True, help="Newest transactions.")
def balance(who: str, limit: int) -> None:
    """Show the balance of a user, by id or address, and the newest transactions."""
    with transaction() as session:
        one = user(session, who)
        wallet, moves = ledger.balance(session, one.id), ledger.history(session, one.id, limit=limit)
    document = {
        "id": one.id,
        "balance": wallet.balance,
        "held": wallet.held,
        "transactions": [
            {"createdAt": move.created_at, "type": move.type, "amount": move.amount, "balance": move.balance_after}
            for move in moves
        ],
    }
    lines = [f"{move.created_at:%Y-%m-%d %H:%M} {move.type} {move.amount} -> {move.balance_after}" for move in moves]
    output().document(document, f"{one.email}: {wallet.balance} credits, {wallet.held} of them held.", *lines)


@credits.command(context_settings={"ignore_unknown_options": True})  # so that -5 is an amount
@click.argument("who")
@click.argument("amount", type=CreditAmount())
@click.option("--reason", required=True, help="A sentence for the user's history and the audit log.")
@click.option("--key", help="A permanent key, such as a ticket's number, so that a repeat changes nothing.")
@confirmed
def adjust(who: str, amount: Decimal, reason: str, key: str | None) -> None:
    """Add AMOUNT credits to a user's balance; below 0, remove available ones. The user is notified."""
    with transaction() as session:
        one = user(session, who)
    confirm(f"{'Add' if amount > 0 else 'Remove'} {abs(amount)} credits {'to' if amount > 0 else 'from'} {one.email}?")
    with transaction() as session:
        moved = administration.adjust(
            session, None, one.id, amount=amount, reason=reason, address=None, key=key, operator=operator()
        )
    document = {"id": moved.id, "amount": moved.amount, "balance": moved.balance_after}
    output().document(document, f"{one.email} has {moved.balance_after} credits now.")
