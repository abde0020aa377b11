"""Signing up, in and out."""

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api.auth import REFRESH_GRACE_SECONDS, current_user, new_token, revoke_current, signed_in
from api.bodies import body, show
from api.limits import attempts, failed_attempts, require_store
from api.schemas.accounts import LoginIn, NothingIn, RegisterIn, UserOut
from api.session import db
from models.services import accounts

bp = Blueprint("auth", __name__, url_prefix="/auth")


@bp.post("/register")
@attempts
def register() -> ResponseReturnValue:
    """Open an account, with its welcome credits."""
    require_store()
    args = body(RegisterIn)
    welcome = current_app.extensions["settings"].welcome_credits
    user = accounts.register(db(), **args, welcome_credits=welcome)
    return {"user": show(UserOut, user), "token": new_token(user)}, 201


@bp.post("/login")
@failed_attempts
def login() -> ResponseReturnValue:
    """Exchange a password for a token."""
    require_store()
    user = accounts.authenticate(db(), **body(LoginIn))
    return {"user": show(UserOut, user), "token": new_token(user)}


@bp.get("/me")
@signed_in
def me() -> ResponseReturnValue:
    """Who the token stands for."""
    return {"user": show(UserOut, current_user())}


@bp.post("/refresh")
@signed_in
def refresh() -> ResponseReturnValue:
    """A new token for the present one, which soon stops working."""
    body(NothingIn, optional=True)
    revoke_current(REFRESH_GRACE_SECONDS)
    return {"token": new_token(current_user())}


@bp.post("/logout")
@signed_in
def logout() -> ResponseReturnValue:
    """End the token of this request."""
    body(NothingIn, optional=True)
    revoke_current()
    return {"message": "You are signed out."}
