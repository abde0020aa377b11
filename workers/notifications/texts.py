"""The texts of all messages.

Subjects contain nothing that users wrote. The body quotes users' text on one line, shortened, and with spaces where a
mail program would make a link of it, so that a workflow's name cannot pose as a message of ours.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from models.rules.stripe.currencies import written
from models.tables import NotificationKind

MAX_QUOTE = 120  # characters
MAX_NAME = 60

# Mail programs make links of schemes and of dots between words, including the dots of internationalised domains.
_SCHEME = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*):(?=//|[^\s\d])")
_DOT = re.compile(r"(?<=\w)([.\u3002\uff0e\uff61])(?=[^\W\d_])")

Payload = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """A subject, and paragraphs of plain text."""

    subject: str
    body: str


def compose(kind: NotificationKind, payload: Payload, name: str = "", *, unsubscribe_url: str = "") -> Message:
    """Build the message of one kind; parts for which the payload has no value are left out."""
    subject, *paragraphs = _TEXTS[kind](payload)
    greeting = f"Hello {_line(name, MAX_NAME)}," if name else "Hello,"
    closing = f"Stop getting such mails: {unsubscribe_url}" if unsubscribe_url else ""
    return Message(subject, "\n\n".join([greeting, *filter(None, [*paragraphs, "AgentForge", closing])]) + "\n")


def _purchase(payload: Payload) -> list[str]:
    credits, paid = _number(payload.get("credits")), _money(payload)
    return [
        f"{credits} credits are yours" if credits else "Your credits have arrived",
        f"Your payment{f' of {paid}' if paid else ''} went through and {credits or 'your'} credits"
        " were added to your balance. Thank you.",
    ]


def _payment_failed(payload: Payload) -> list[str]:
    paid, reason, link = _money(payload), _line(payload.get("message")), payload.get("url")
    return [
        "Your payment did not go through",
        f"A payment{f' of {paid}' if paid else ''} could not be made{f': {reason}' if reason else '.'}",
        f"You can pay here: {link}" if link else "Please check your payment method in the app.",
    ]


def _invoice_upcoming(payload: Payload) -> list[str]:
    paid, when = _money(payload), _line(payload.get("date"))[:10]
    return [
        "Your subscription renews soon",
        f"Your subscription will renew{f' on {when}' if when else ''}{f' for {paid}' if paid else ''}.",
    ]


def _run_finished(payload: Payload) -> list[str]:
    workflow, status = _quote(payload.get("workflowName")) or "your workflow", payload.get("status")
    ending = {"success": "finished", "failed": "failed", "cancelled": "was cancelled"}.get(str(status), "ended")
    charged, error = _number(payload.get("creditsCharged")), _quote(payload.get("error"))
    return [
        f"A run {ending}",
        f"The run of {workflow} {ending}.{f' It cost {charged} credits.' if charged else ''}",
        f"Its error: {error}" if error else "",
    ]


def _low_balance(payload: Payload) -> list[str]:
    available = _number(payload.get("available"))
    left = f"{available} credits are left" if available else "Few credits are left"
    return ["Your credits are running low", f"{left}. Runs that cost more wait until you add some."]


def _approval_needed(payload: Payload) -> list[str]:
    workflow, asked = _quote(payload.get("workflowName")) or "A workflow", _quote(payload.get("message"))
    return [
        "A workflow waits for your answer",
        f"{workflow} asks: {asked}" if asked else f"{workflow} waits for your answer.",
        "Open the app to approve or reject it.",
    ]


def _schedule_stopped(payload: Payload) -> list[str]:
    workflow, reason = _quote(payload.get("workflowName")) or "your workflow", _line(payload.get("reason"))
    name = f" {quoted}" if (quoted := _quote(payload.get("name"))) else ""
    refusals = payload.get("refusals")
    often = f" {refusals} times in a row" if isinstance(refusals, int) and refusals > 1 else ""
    return [
        "A schedule was switched off",
        f"The schedule{name} of {workflow} could not start a run{often}, so it was switched off.",
        f"The last reason: {reason}" if reason else "",
        "Once that is solved, switch the schedule on again in the app.",
    ]


def _password_reset(payload: Payload) -> list[str]:
    return [
        "Set a new password",
        "Someone, probably you, asked to set a new password for your account. You can do so here:",
        payload.get("url", ""),
        "The link works once, within half an hour. If it was not you, do nothing: your password stays as it is.",
    ]


def _password_changed(payload: Payload) -> list[str]:
    return [
        "Your password was changed",
        "The password of your account was changed just now, and all other sessions are signed out.",
        "If it was not you, ask for a new password in the app at once.",
        _keys_left(payload.get("accessKeys", 0)),
    ]


def _keys_left(number: int) -> str:
    if not number:
        return ""
    left = "One access key goes on working" if number == 1 else f"{number} access keys go on working"
    return f"{left}, so that your programs do. Check access keys in the app, and delete what you do not know."


def _email_link(payload: Payload) -> list[str]:
    return [
        "Confirm your email address",
        "Someone, probably you, gave this address for an account. If it was you, confirm here that it is yours:",
        payload.get("url", ""),
        "The link works once, within 24 hours. If it was not you, do nothing.",
    ]


def _email_changed(payload: Payload) -> list[str]:
    now = _line(payload.get("email"))
    return [
        "Your email address was changed",
        f"Your account has another email address now{f': {now}' if now else ''}. This is the last mail to the old one.",
        "If it was not you, take the old address back here, within 72 hours. All sessions end then, and you get"
        " a link for a new password:",
        payload.get("url", ""),
    ]


def _email_in_use(_: Payload) -> list[str]:
    return [
        "Your email address has an account already",
        "Someone, perhaps you, wants to use this address for another account. That is not possible while it is yours.",
        "If it was not you, do nothing: your account stays as it is.",
    ]


def _template_unpublished(payload: Payload) -> list[str]:
    template, reason = _quote(payload.get("templateName")) or "Your template", _line(payload.get("reason"))
    return [
        "Your template is not published any more",
        f"{template} was taken out of the gallery{f': {reason}' if reason else '.'}",
        "It is still yours, and so are the workflows that were made from it.",
    ]


def _account_deleted(_: Payload) -> list[str]:
    return [
        "Your account was deleted",
        "Your account was deleted, as you asked. Runs are being stopped, and a subscription ends now.",
        "Your personal data is deleted, this address after this mail. If it was not you, write to us: the account"
        " cannot be restored, but someone knew your password.",
    ]


def _device_taken(_: Payload) -> list[str]:
    return [
        "Another account gets the push messages of your phone",
        "Someone signed in to another account on your phone, which does not get your push messages any more.",
        "If it was not you, sign in to the app again on your phone, and tell us.",
    ]


def _credits_adjusted(payload: Payload) -> list[str]:
    amount, balance, reason = _number(payload.get("amount")), payload.get("balance"), _line(payload.get("reason"))
    way = "taken from" if amount.startswith("-") else "added to"
    moved = f"{amount.removeprefix('-')} credits were {way} your balance" if amount else "Your balance was changed"
    return [
        "Your credits were adjusted",
        f"{moved}{f': {reason}' if reason else '.'}",
        f"It is {_number(balance)} credits now." if balance else "",
    ]


_FACTOR_NEWS = {
    "enabled": "Two-factor authentication is on for your account, and all other sessions are signed out.",
    "disabled": "Two-factor authentication was turned off for your account.",
    "removed": "An administrator turned off two-factor authentication for your account.",
    "renewed": "New recovery codes were made for your account, and those before stopped working.",
    "recovery_used": "A recovery code of your account was used.",
    "blocked": "Someone entered several wrong codes for your account. No code is accepted for 15 minutes.",
}


def _two_factor(payload: Payload) -> list[str]:
    news = _FACTOR_NEWS.get(str(payload.get("change")), "Two-factor authentication of your account was changed.")
    return [
        "Two-factor authentication of your account",
        news,
        "If it was not you, someone knows your password: set a new one in the app at once.",
    ]


def _data_export(payload: Payload) -> list[str]:
    return [
        "Your data is ready",
        "The copy of your data that you asked for is ready. You can fetch it here:",
        payload.get("url", ""),
        "The link works for seven days. Anyone with it gets your data, so do not share it.",
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
    NotificationKind.DEVICE_TAKEN: _device_taken,
    NotificationKind.CREDITS_ADJUSTED: _credits_adjusted,
    NotificationKind.TWO_FACTOR: _two_factor,
    NotificationKind.DATA_EXPORT: _data_export,
    NotificationKind.EMAIL_LINK: _email_link,
    NotificationKind.EMAIL_IN_USE: _email_in_use,
    NotificationKind.TEMPLATE_UNPUBLISHED: _template_unpublished,
    NotificationKind.ACCOUNT_DELETED: _account_deleted,
    NotificationKind.SCHEDULE_STOPPED: _schedule_stopped,
}


def _quote(value: Any) -> str:
    """A text of a user's, in quotes; nothing when there is none."""
    line = _line(value).translate({ord("“"): '"', ord("”"): '"'})
    return f"“{line}”" if line else ""


def _line(value: Any, max_length: int = MAX_QUOTE) -> str:
    """A text on one line, not too long, of which no mail program makes a link."""
    line = " ".join(value.split()) if isinstance(value, str) else ""
    printable = "".join(sign for sign in line if sign.isprintable())
    short = printable if len(printable) <= max_length else printable[: max_length - 1] + "…"
    return _DOT.sub(r"[\1]", _SCHEME.sub(r"\1[:]", short))


def _number(value: Any) -> str:
    """An amount of credits without useless zeros, or nothing."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return ""
    return f"{number:f}" if number != number.to_integral_value() else f"{number:.0f}"


def _money(payload: Payload) -> str:
    """`9.99 USD` from cents, `1500 JPY` from yen, or nothing."""
    cents = payload.get("amountCents")
    if not isinstance(cents, int):
        return ""
    return written(cents, str(payload.get("currency") or "usd")[:3])
