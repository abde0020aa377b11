"""Checks of the second factor: at sign-in, and before changes that would lock the owner out of an account.

Sign-in takes the code as `code` in the body, other requests in the header `Two-Factor-Code`, so that their bodies stay
the same. The code is checked after everything else, because it works only once.
"""

from flask import current_app, request

from api.auth.audit import record
from api.auth.authenticate import current_user
from api.http.session import db
from models.errors import FieldError, Forbidden, InvalidInput, NotAuthenticated
from models.services.accounts import two_factor
from models.tables import User
from models.vault import Vault

HEADER = "Two-Factor-Code"
SIGN_IN_CODES = ("two_factor_required", "wrong_two_factor_code", "too_many_codes")  # error codes of `check_sign_in`
CHANGE_CODES = ("two_factor_code_required", "wrong_code", "too_many_codes")  # error codes of `check_change`


class TwoFactorRequired(NotAuthenticated):
    """The password is right, and the account has a second factor: send the same call again with `code`."""

    code = "two_factor_required"

    def __init__(self) -> None:
        super().__init__("Enter the code of your authenticator app, or one of your recovery codes.")


class WrongSignInCode(NotAuthenticated):
    """The password is right, and the code of the second factor is wrong or was used before."""

    code = "wrong_two_factor_code"

    def __init__(self) -> None:
        super().__init__("This code is wrong, or was used before. Enter the next one that your app shows.")


class CodeRequired(Forbidden):
    """This change needs a code of the second factor in the header `Two-Factor-Code`, or in `code`."""

    code = "two_factor_code_required"

    def __init__(self) -> None:
        super().__init__("Enter the code of your authenticator app, or a recovery code, to change this.")


class WrongCode(InvalidInput):
    """The code of the second factor is wrong, or was used before. Not 401, which would sign the app out."""

    code = "wrong_code"

    def __init__(self, field: str) -> None:
        wrong = FieldError(field, "Is wrong, or was used before: enter the code that your app shows now.")
        super().__init__("This code is wrong, or was used before.", errors=[wrong])


def check_sign_in(user: User, code: str | None) -> None:
    """Check the code at sign-in, after the password; raises `TwoFactorRequired`, `WrongSignInCode`, `TooManyCodes`."""
    if not two_factor.is_enabled(db(), user.id):
        return
    if not code:
        raise TwoFactorRequired
    if not _accepted(user, code):
        raise WrongSignInCode


def check_change(code: str | None = None) -> None:
    """Check the code before a sensitive change, from `code` or else the header.

    Raises `CodeRequired`, `WrongCode`, `TooManyCodes`.
    """
    user = current_user()
    if not two_factor.is_enabled(db(), user.id):
        return
    given = code or request.headers.get(HEADER)
    if not given:
        raise CodeRequired
    if not _accepted(user, given):
        raise WrongCode("code" if code else HEADER)


def vault() -> Vault:
    """The vault of this application."""
    vault: Vault = current_app.extensions["vault"]
    return vault


def _accepted(user: User, code: str) -> bool:
    """Whether the code is right; a wrong one is recorded even if the request fails."""
    if two_factor.accepts(db(), user.id, code, vault=vault()):
        return True
    reject_code(user)
    return False


def reject_code(user: User) -> None:
    """Record a wrong code and commit."""
    record("auth.wrong_code", user.id, actor=user.id)
    db().commit()
