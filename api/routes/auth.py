"""Signing up, in and out."""

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from api import credentials
from api.auth import current_token, current_user, refreshed, sign_in, signed_in
from api.bodies import body, show
from api.deeds import record
from api.limits import attempts, failed_attempts, require_store, taken_addresses
from api.openapi import describes
from api.schemas.accounts import (
    LoginIn,
    MessageOut,
    NothingIn,
    ProfileIn,
    ProfileOut,
    RegisterIn,
    SignedInOut,
    TokenOut,
    UserOut,
)
from api.session import db
from models.services import accounts, sessions

bp = Blueprint("auth", __name__, url_prefix="/auth")


@bp.post("/register")
@attempts
@describes(answers=SignedInOut, status=201, takes=RegisterIn, refuses=("email_taken",))
def register() -> ResponseReturnValue:
    """Open an account, with its welcome credits."""
    require_store()
    args = body(RegisterIn)
    password_hash = credentials.hashed(args.pop("password"), args["email"])
    welcome = current_app.extensions["settings"].welcome_credits
    user = accounts.register(db(), **args, password_hash=password_hash, welcome_credits=welcome)
    record("auth.registered", user.id, actor=user.id)
    return {"user": show(UserOut, user), "token": sign_in(user)}, 201


@bp.post("/login")
@failed_attempts
@describes(answers=SignedInOut, takes=LoginIn, refuses=("wrong_credentials",))
def login() -> ResponseReturnValue:
    """Exchange a password for a token."""
    require_store()
    user = credentials.verified(**body(LoginIn))
    return {"user": show(UserOut, user), "token": sign_in(user)}


@bp.get("/me")
@signed_in
@describes(answers={"user": UserOut})
def me() -> ResponseReturnValue:
    """Who the token stands for."""
    return {"user": show(UserOut, current_user())}


@bp.put("/profile")
@signed_in
@taken_addresses
@describes(answers=ProfileOut, takes=ProfileIn, refuses=("email_taken",))
def profile() -> ResponseReturnValue:
    """Change the caller's name or address; the old address is told of a new one."""
    user = current_user()
    if accounts.change_profile(db(), user, **body(ProfileIn)):
        record("auth.email_changed", user.id)
    shown = show(UserOut, accounts.find(db(), user.id))
    return {"user": shown, **shown}


@bp.post("/refresh")
@signed_in
@describes(answers=TokenOut, takes=NothingIn, optional=True)
def refresh() -> ResponseReturnValue:
    """A new token for the present one, which soon stops working."""
    body(NothingIn, optional=True)
    return {"token": refreshed()}


@bp.post("/logout")
@signed_in
@describes(answers=MessageOut, takes=NothingIn, optional=True)
def logout() -> ResponseReturnValue:
    """End the session of this request, and with it every token of it."""
    body(NothingIn, optional=True)
    sessions.end(db(), current_user().id, current_token().session_id)
    record("auth.logout", current_user().id)
    return {"message": "You are signed out."}
