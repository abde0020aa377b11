"""Passwords: changed by the signed-in user, or reset by a mailed link."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import credentials
from api.auth.audit import record
from api.auth.authenticate import current_token, current_user, signed_in
from api.auth.second_factor import CHANGE_CODES, check_change
from api.http.client_address import caller
from api.http.parsing import body
from api.http.session import db
from api.limits.attempts import attempts, dead_links, wrong_passwords
from api.openapi import describes
from api.schemas.accounts.accounts import ChangePasswordIn, ConfirmResetIn, MessageOut, ResetIn
from models.services.accounts import accounts, password_resets
from tasks.queue import TaskName, enqueue

bp = Blueprint("passwords", __name__, url_prefix="/auth")


@bp.post("/change-password")
@signed_in
@wrong_passwords
@describes(response=MessageOut, body=ChangePasswordIn, errors=("wrong_password", "conflict", *CHANGE_CODES))
def change() -> ResponseReturnValue:
    """Change the password and end all other sessions."""
    args, user = body(ChangePasswordIn), current_user()
    new_hash = credentials.hashed_change(user, args["current_password"], args["new_password"])
    check_change()
    accounts.change_password(db(), user, new_hash, kept=current_token().session_id)
    record("auth.password_changed", user.id)
    return {"message": "Your password was changed. All other sessions of your account are signed out."}


@bp.post("/reset-password")
@attempts
@describes(response=MessageOut, status=202, body=ResetIn)
def reset() -> ResponseReturnValue:
    """Mail a link for a new password, if the address has an account. The response does not reveal whether it has."""
    reset_request = password_resets.request_reset(db(), body(ResetIn)["email"], caller())
    enqueue(db(), TaskName.SEND_RESET_MAIL, reset_id=reset_request.id)
    return {"message": "If there is an account with this address, a link is on its way to it."}, 202


@bp.post("/reset-password/confirm")
@dead_links
@describes(response=MessageOut, body=ConfirmResetIn, errors=("reset_token_invalid",))
def confirm() -> ResponseReturnValue:
    """Set a new password by the token of a mailed link, which works once; all sessions and access keys end."""
    args = body(ConfirmResetIn)
    new_hash = credentials.hashed_reset(args["token"], args["new_password"])
    user_id = password_resets.redeem(db(), args["token"], new_hash, welcome_credits=credentials.welcome_credits)
    record("auth.password_reset", user_id)
    return {"message": "Your password was changed. Sign in with the new one."}
