"""The caller's account as a whole."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import credentials
from api.auth.audit import record
from api.auth.authenticate import current_user, signed_in
from api.auth.second_factor import CHANGE_CODES, check_change, vault
from api.http.parsing import body
from api.http.session import db
from api.limits.attempts import wrong_passwords
from api.openapi import describes
from api.schemas.accounts.accounts import MessageOut
from api.schemas.accounts.two_factor import PasswordMaybeCodeIn
from models.services.accounts import deletions
from tasks.queue import TaskName, enqueue, enqueue_mails

bp = Blueprint("account", __name__, url_prefix="/auth")


@bp.delete("/me")
@signed_in
@wrong_passwords
@describes(response=MessageOut, body=PasswordMaybeCodeIn, errors=("wrong_password", *CHANGE_CODES))
def delete() -> ResponseReturnValue:
    """Delete the account permanently: all sessions end, and personal data is erased."""
    user, given = current_user(), body(PasswordMaybeCodeIn)
    credentials.check_password(user, given["password"])
    check_change(given.get("code"))
    job, mails = deletions.delete_account(db(), user, vault=vault())
    enqueue_mails(db(), mails)
    if job:
        enqueue(db(), TaskName.STRIPE_REQUEST, request_id=job.id)
    record("auth.account_deleted", user.id, actor=user.id)
    return {"message": "Your account is deleted. Runs are being stopped, and a subscription ends now."}
