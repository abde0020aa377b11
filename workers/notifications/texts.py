"""The words of every message. What users named themselves is quoted on one line, and cut when it is long."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from models.notification import NotificationKind

LONGEST_QUOTE = 120  # characters

Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """A subject, and paragraphs of plain text."""

    subject: str
    body: str


def compose(kind: NotificationKind, payload: Payload, name: str = "") -> Message:
    """The message for one kind; what its payload lacks is left out rather than guessed."""
    subject, *paragraphs = _TEXTS[kind](payload)
    greeting = f"Hello {_quote(name)}," if name else "Hello,"
    return Message(subject, "\n\n".join([greeting, *filter(None, paragraphs), "AgentForge"]) + "\n")


def _purchase(payload: Payload) -> list[str]:
    credits, paid = _number(payload.get("credits")), _money(payload)
    return [
        f"{credits} credits are yours" if credits else "Your credits have arrived",
        f"Your payment{f' of {paid}' if paid else ''} went through and {credits or 'your'} credits"
        " were added to your balance. Thank you.",
    ]


def _payment_failed(payload: Payload) -> list[str]:
    paid, reason, link = _money(payload), _quote(payload.get("message")), payload.get("url")
    return [
        "Your payment did not go through",
        f"A payment{f' of {paid}' if paid else ''} could not be made{f': {reason}' if reason else '.'}",
        f"You can pay here: {link}" if link else "Please check your payment method in the app.",
    ]


def _invoice_upcoming(payload: Payload) -> list[str]:
    paid, when = _money(payload), _quote(payload.get("date"))[:10]
    return [
        "Your subscription renews soon",
        f"Your subscription will renew{f' on {when}' if when else ''}{f' for {paid}' if paid else ''}.",
    ]


def _run_finished(payload: Payload) -> list[str]:
    workflow, status = _quote(payload.get("workflowName")) or "Your workflow", payload.get("status")
    ending = {"success": "finished", "failed": "failed", "cancelled": "was cancelled"}.get(str(status), "ended")
    charged = _number(payload.get("creditsCharged"))
    return [
        f"{workflow} {ending}",
        f"The run of {workflow} {ending}.{f' It cost {charged} credits.' if charged else ''}",
        _quote(payload.get("error")),
    ]


def _low_balance(payload: Payload) -> list[str]:
    available = _number(payload.get("available"))
    left = f"{available} credits are left" if available else "Few credits are left"
    return ["Your credits are running low", f"{left}. Runs that cost more wait until you add some."]


def _approval_needed(payload: Payload) -> list[str]:
    workflow, asked = _quote(payload.get("workflowName")) or "A workflow", _quote(payload.get("message"))
    return [f"{workflow} waits for your answer", asked, "Open the app to approve or reject it."]


def _password_reset(payload: Payload) -> list[str]:
    return [
        "Set a new password",
        "Somebody, probably you, asked to set a new password for your account. You can do so here:",
        payload.get("url", ""),
        "The link works once, within half an hour. If it was not you, do nothing: your password stays as it is.",
    ]


def _password_changed(payload: Payload) -> list[str]:
    return [
        "Your password was changed",
        "The password of your account was changed just now, and everybody else who was signed in is signed out.",
        "If it was not you, ask for a new password in the app at once.",
        _keys_left(payload.get("accessKeys", 0)),
    ]


def _keys_left(number: int) -> str:
    if not number:
        return ""
    left = "One access key goes on working" if number == 1 else f"{number} access keys go on working"
    return f"{left}, so that your programs do. Look in the app under access keys, and delete what you do not know."


def _email_changed(payload: Payload) -> list[str]:
    now = _quote(payload.get("email"))
    return [
        "Your email address was changed",
        f"Your account has another email address now{f': {now}' if now else ''}. This is the last mail to the old one.",
        "If it was not you, somebody else is signed in to your account: write to us at once.",
    ]


def _credits_adjusted(payload: Payload) -> list[str]:
    amount, balance, reason = _number(payload.get("amount")), payload.get("balance"), _quote(payload.get("reason"))
    way = "taken from" if amount.startswith("-") else "added to"
    moved = f"{amount.removeprefix('-')} credits were {way} your balance" if amount else "Your balance was changed"
    return [
        "Your credits were adjusted",
        f"{moved}{f': {reason}' if reason else '.'}",
        f"It is {_number(balance)} credits now." if balance else "",
    ]


_TEXTS: Mapping[NotificationKind, Callable[[Payload], list[str]]] = {
    NotificationKind.PURCHASE: _purchase,
    NotificationKind.PAYMENT_FAILED: _payment_failed,
    NotificationKind.INVOICE_UPCOMING: _invoice_upcoming,
    NotificationKind.RUN_FINISHED: _run_finished,
    NotificationKind.LOW_BALANCE: _low_balance,
    NotificationKind.APPROVAL_NEEDED: _approval_needed,
    NotificationKind.PASSWORD_RESET: _password_reset,
    NotificationKind.PASSWORD_CHANGED: _password_changed,
    NotificationKind.EMAIL_CHANGED: _email_changed,
    NotificationKind.CREDITS_ADJUSTED: _credits_adjusted,
}


def _quote(value: Any) -> str:
    """A text of somebody's on one line."""
    line = " ".join(value.split()) if isinstance(value, str) else ""
    printable = "".join(sign for sign in line if sign.isprintable())
    return printable if len(printable) <= LONGEST_QUOTE else printable[: LONGEST_QUOTE - 1] + "…"


def _number(value: Any) -> str:
    """An amount of credits without useless zeros, or nothing."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return ""
    return f"{number:f}" if number != number.to_integral_value() else f"{number:.0f}"


def _money(payload: Payload) -> str:
    """`9.99 USD` from cents, or nothing."""
    cents = payload.get("amountCents")
    if not isinstance(cents, int):
        return ""
    return f"{Decimal(cents) / 100:.2f} {str(payload.get('currency') or 'usd').upper()[:3]}"
