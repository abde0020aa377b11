"""The second factor of an account: its user sets it up, confirms it, renews its codes and turns it off."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth import credentials
from api.auth.audit import record
from api.auth.authenticate import current_token, current_user, signed_in
from api.auth.second_factor import WrongCode, check_change, reject_code, vault
from api.http.parsing import body, show
from api.http.session import db
from api.limits.attempts import wrong_passwords
from api.openapi import describes
from api.schemas.accounts.accounts import MessageOut
from api.schemas.accounts.two_factor import (
    ConfirmFactorIn,
    EnrolmentOut,
    FactorOut,
    PasswordAndCodeIn,
    PasswordIn,
    RecoveryCodesOut,
)
from models.services.accounts import sessions, two_factor

bp = Blueprint("two_factor", __name__, url_prefix="/auth/two-factor")

KEEP = "Keep these codes in a safe place: each of them replaces a code of your app once. They are not shown again."


@bp.get("")
@signed_in
@describes(response=FactorOut)
def status() -> ResponseReturnValue:
    """Get whether the second factor is on, since when, and how many recovery codes are left."""
    return show(FactorOut, two_factor.status(db(), current_user().id))


@bp.post("/setup")
@signed_in
@wrong_passwords
@describes(response=EnrolmentOut, status=201, body=PasswordIn, errors=("wrong_password", "two_factor_enabled"))
def setup() -> ResponseReturnValue:
    """Create a secret for an authenticator app; it takes effect once a code of the app is confirmed."""
    credentials.check_password(current_user(), body(PasswordIn)["password"])
    return show(EnrolmentOut, two_factor.begin(db(), current_user(), vault=vault())), 201


@bp.post("/confirm")
@signed_in
@describes(
    response=RecoveryCodesOut,
    body=ConfirmFactorIn,
    errors=("wrong_code", "too_many_codes", "two_factor_enabled", "not_found"),
)
def confirm() -> ResponseReturnValue:
    """Turn the second factor on with a first code, show the recovery codes, and end all other sessions."""
    user = current_user()
    codes = two_factor.confirm(db(), user.id, body(ConfirmFactorIn)["code"], vault=vault())
    if not codes:
        reject_code(user)
        raise WrongCode("code")
    sessions.end_others(db(), user.id, current_token().session_id)
    record("auth.two_factor_enabled", user.id)
    return {"recoveryCodes": codes, "message": KEEP}


@bp.post("/recovery-codes")
@signed_in
@wrong_passwords
@describes(
    response=RecoveryCodesOut,
    body=PasswordAndCodeIn,
    errors=("wrong_password", "wrong_code", "too_many_codes", "not_found"),
)
def renew() -> ResponseReturnValue:
    """Create new recovery codes; earlier ones stop working."""
    _check_both(body(PasswordAndCodeIn))
    codes = two_factor.renew_recovery_codes(db(), current_user().id)
    record("auth.recovery_codes_renewed", current_user().id)
    return {"recoveryCodes": codes, "message": KEEP}


@bp.delete("")
@signed_in
@wrong_passwords
@describes(
    response=MessageOut,
    body=PasswordAndCodeIn,
    errors=("wrong_password", "wrong_code", "too_many_codes", "not_found"),
)
def disable() -> ResponseReturnValue:
    """Turn the second factor off."""
    _check_both(body(PasswordAndCodeIn))
    two_factor.remove(db(), current_user().id)
    record("auth.two_factor_disabled", current_user().id)
    return {"message": "Two-factor authentication is off. You now sign in with your password alone."}


def _check_both(given: dict[str, str]) -> None:
    """Check the password first and then the code, because the code works only once."""
    credentials.check_password(current_user(), given["password"])
    check_change(given["code"])
