"""The caller's own keys for AI providers: stored, tested, never shown."""

from flask import Blueprint, Response, current_app, url_for
from flask.typing import ResponseReturnValue

from api.auth import current_user, signed_in
from api.bodies import body, show
from api.openapi import LOCATED, describes
from api.schemas.accounts import NothingIn
from api.schemas.api_keys import ApiKeyIn, ApiKeyOut
from api.schemas.base import Count
from api.session import db
from models.rules.pricing import Provider
from models.services import provider_keys
from tasks.queue import TaskName, enqueue

bp = Blueprint("api_keys", __name__, url_prefix="/api-keys")

ONE = "/<any(openai, anthropic, google):provider>"


@bp.get("")
@signed_in
@describes(answers={"apiKeys": [ApiKeyOut], "count": Count()})
def index() -> ResponseReturnValue:
    """Which keys are stored, and what their providers say of them."""
    rows = provider_keys.list_owned(db(), current_user().id)
    return {"apiKeys": show(ApiKeyOut, rows, many=True), "count": len(rows)}


@bp.put(ONE)
@signed_in
@describes(answers={"apiKey": ApiKeyOut}, takes=ApiKeyIn)
def put(provider: str) -> ResponseReturnValue:
    """Store or replace a key; a worker tries it out at once."""
    vault = current_app.extensions["vault"]
    row = provider_keys.put(db(), current_user().id, Provider(provider), body(ApiKeyIn)["key"], vault=vault)
    enqueue(db(), TaskName.TEST_KEY, key_id=row.id)
    return {"apiKey": show(ApiKeyOut, row)}


@bp.post(f"{ONE}/test")
@signed_in
@describes(answers={"apiKey": ApiKeyOut}, status=202, takes=NothingIn, optional=True, headers=LOCATED)
def test(provider: str) -> ResponseReturnValue:
    """Ask the provider again whether it takes the key; the list shows what it said."""
    body(NothingIn, optional=True)
    row = provider_keys.ask_for_test(db(), current_user().id, Provider(provider))
    enqueue(db(), TaskName.TEST_KEY, key_id=row.id)
    return {"apiKey": show(ApiKeyOut, row)}, 202, {"Location": url_for("api_keys.index"), "Retry-After": "1"}


@bp.delete(ONE)
@signed_in
@describes()
def delete(provider: str) -> ResponseReturnValue:
    """Forget a key."""
    provider_keys.delete(db(), current_user().id, Provider(provider))
    return Response(status=204)
