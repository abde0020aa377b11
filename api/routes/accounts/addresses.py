"""Email addresses: verified by a mailed link, and restored after a change."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import credentials
from api.auth.audit import record
from api.auth.authenticate import current_user, signed_in
from api.http.client_address import caller
from api.http.parsing import body
from api.http.session import db
from api.limits.attempts import dead_links
from api.openapi import describes
from api.schemas.accounts.accounts import LinkIn, MessageOut, NothingIn
from models.services.accounts import addresses, password_resets
from tasks.queue import TaskName, enqueue, enqueue_mails

bp = Blueprint("addresses", __name__, url_prefix="/auth")


@bp.post("/verify")
@dead_links
@describes(response=MessageOut, body=LinkIn, errors=("link_invalid", "email_taken"))
def verify() -> ResponseReturnValue:
    """Verify the email address of a mailed link; the first verified address brings the welcome credits."""
    user = addresses.verify(db(), body(LinkIn)["token"], welcome_credits=credentials.welcome_credits)
    record("auth.email_verified", user.id)
    return {"message": "Your email address is verified."}


@bp.post("/verify/resend")
@signed_in
@describes(response=MessageOut, status=202, body=NothingIn, optional=True, errors=("already_verified", "rate_limited"))
def resend() -> ResponseReturnValue:
    """Mail a new link to the address that is not verified yet; earlier links become invalid."""
    body(NothingIn, optional=True)
    enqueue_mails(db(), addresses.resend(db(), current_user().id))
    return {"message": "A link is on its way to your address."}, 202


@bp.post("/undo-email")
@dead_links
@describes(response=MessageOut, body=LinkIn, errors=("link_invalid",))
def undo() -> ResponseReturnValue:
    """Restore the email address before a change: all sessions end, and a link for a new password is mailed."""
    user = addresses.undo(db(), body(LinkIn)["token"])
    record("auth.email_restored", user.id)
    reset_request = password_resets.request_reset(db(), user.email, caller())
    enqueue(db(), TaskName.SEND_RESET_MAIL, reset_id=reset_request.id)
    return {
        "message": "Your address is restored and all sessions are signed out. A link for a new password is on its way."
    }
