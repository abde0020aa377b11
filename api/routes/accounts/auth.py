"""Sign-up, sign-in, sign-out, and the caller's profile."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from api.auth import cookies, credentials
from api.auth.audit import record
from api.auth.authenticate import current_token, current_user, refreshed, session_kind, sign_in, signed_in
from api.auth.second_factor import CHANGE_CODES, SIGN_IN_CODES, check_change, check_sign_in
from api.http.parsing import body, show
from api.http.session import db
from api.limits.attempts import attempts, failed_attempts
from api.openapi import describes
from api.schemas.accounts.accounts import (
    LoginIn,
    MessageOut,
    NothingAppIn,
    ProfileIn,
    ProfileOut,
    RefreshIn,
    RegisterIn,
    SessionKind,
    SignedInOut,
    TokenOut,
    UserOut,
)
from models.services.accounts import accounts, addresses, sessions
from tasks.queue import enqueue_mails

bp = Blueprint("auth", __name__, url_prefix="/auth")


@bp.post("/register")
@attempts
@describes(response=SignedInOut, status=201, body=RegisterIn, errors=("email_taken",))
def register() -> ResponseReturnValue:
    """Create an account. It gets its welcome credits once its email address is verified by the mailed link."""
    args = body(RegisterIn)
    kind = args.pop("session")
    password_hash = credentials.hashed(args.pop("password"), args["email"], args["name"])
    user = accounts.register(db(), **args, password_hash=password_hash)
    enqueue_mails(db(), addresses.welcome(db(), user))
    record("auth.registered", user.id, actor=user.id)
    return cookies.respond({"user": show(UserOut, user)}, sign_in(user), kind), 201


@bp.post("/login")
@failed_attempts
@describes(response=SignedInOut, body=LoginIn, errors=("wrong_credentials", "account_locked", *SIGN_IN_CODES))
def login() -> ResponseReturnValue:
    """Sign in with a password and get a token, or with `session: cookie` the cookies of a browser's session."""
    args = body(LoginIn)
    kind, code = args.pop("session"), args.pop("code", None)
    user = credentials.verified(**args)
    check_sign_in(user, code)
    return cookies.respond({"user": show(UserOut, user)}, sign_in(user), kind)


@bp.get("/me")
@signed_in
@describes(response={"user": UserOut})
def me() -> ResponseReturnValue:
    """Get the user of the token."""
    return {"user": show(UserOut, current_user())}


@bp.put("/profile")
@signed_in
@describes(response=ProfileOut, body=ProfileIn, errors=("rate_limited", *CHANGE_CODES))
def profile() -> ResponseReturnValue:
    """Change the caller's name or email address; a new address takes effect once it is verified by the mailed link."""
    user, changes = current_user(), body(ProfileIn)
    if changes.get("email", user.email) != user.email:
        check_change()
        record("auth.email_change_asked", user.id)
    enqueue_mails(db(), addresses.change_profile(db(), user.id, **changes))
    shown = show(UserOut, accounts.find(db(), user.id))
    return {"user": shown, **shown}


@bp.post("/refresh")
@signed_in
@describes(response=TokenOut, body=RefreshIn, optional=True)
def refresh() -> ResponseReturnValue:
    """Get a new token for the current one, which stops working soon after; in the cookies if it came in them."""
    asked = body(RefreshIn, optional=True)["session"]
    kind = SessionKind.COOKIE if session_kind() is SessionKind.COOKIE else asked
    return cookies.respond({}, refreshed(), kind)


@bp.post("/logout")
@signed_in
@describes(response=MessageOut, body=NothingAppIn, optional=True)
def logout() -> ResponseReturnValue:
    """End the session of this request with all of its tokens."""
    body(NothingAppIn, optional=True)
    sessions.end(db(), current_user().id, current_token().session_id)
    record("auth.logout", current_user().id)
    response = jsonify(message="You are signed out.")
    if session_kind() is SessionKind.COOKIE:
        cookies.clear(response)
    return response
