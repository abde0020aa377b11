"""Changing a password, and setting a new one when it is forgotten."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api import credentials
from api.auth import current_token, current_user, signed_in
from api.bodies import body
from api.deeds import caller_address, record
from api.limits import attempts, dead_links, require_store, wrong_passwords
from api.openapi import describes
from api.schemas.accounts import ChangePasswordIn, ConfirmResetIn, MessageOut, ResetIn
from api.session import db
from models.services import accounts, password_resets
from tasks.queue import TaskName, enqueue

bp = Blueprint("passwords", __name__, url_prefix="/auth")


@bp.post("/change-password")
@signed_in
@wrong_passwords
@describes(answers=MessageOut, takes=ChangePasswordIn, refuses=("wrong_password", "conflict"))
def change() -> ResponseReturnValue:
    """Set another password and sign everybody else out."""
    require_store()
    args, user = body(ChangePasswordIn), current_user()
    new_hash = credentials.hashed_change(user, args["current_password"], args["new_password"])
    accounts.change_password(db(), user, new_hash, kept=current_token().session_id)
    record("auth.password_changed", user.id)
    return {"message": "Your password was changed. Everybody else who was signed in to your account is signed out."}


@bp.post("/reset-password")
@attempts
@describes(answers=MessageOut, status=202, takes=ResetIn)
def reset() -> ResponseReturnValue:
    """Send a link for a new password, if there is such an account; a worker finds out whether there is."""
    require_store()
    wish = password_resets.ask(db(), body(ResetIn)["email"], caller_address())
    enqueue(db(), TaskName.ANSWER_RESET, reset_id=wish.id)
    return {"message": "If there is an account with this address, a link is on its way to it."}, 202


@bp.post("/reset-password/confirm")
@dead_links
@describes(answers=MessageOut, takes=ConfirmResetIn, refuses=("reset_token_invalid",))
def confirm() -> ResponseReturnValue:
    """Set the password of whoever got this token by mail, once, and sign everybody out."""
    require_store()
    args = body(ConfirmResetIn)
    new_hash = credentials.hashed_reset(args["token"], args["new_password"])
    user_id = password_resets.redeem(db(), args["token"], new_hash)
    record("auth.password_reset", user_id)
    return {"message": "Your new password counts from now on. Sign in with it."}
