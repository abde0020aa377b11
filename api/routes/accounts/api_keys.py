"""The caller's own keys for AI providers: stored and tested, never shown."""

from flask import Blueprint, Response, url_for
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.auth.second_factor import CHANGE_CODES, check_change, vault
from api.http.parsing import body, show
from api.http.session import db
from api.openapi import LOCATED, describes
from api.schemas.accounts.accounts import NothingIn
from api.schemas.accounts.api_keys import ApiKeyIn, ApiKeyOut
from api.schemas.base import Integer
from models.rules.prices.pricing import Provider
from models.services.accounts import provider_keys
from tasks.queue import TaskName, enqueue

bp = Blueprint("api_keys", __name__, url_prefix="/api-keys")

ONE = f"/<any({', '.join(provider_keys.PREFIXES)}):provider>"


@bp.get("")
@signed_in
@describes(response={"apiKeys": [ApiKeyOut], "count": Integer()})
def index() -> ResponseReturnValue:
    """List the caller's provider keys with the results of their tests."""
    rows = provider_keys.list_owned(db(), current_user().id)
    return {"apiKeys": show(ApiKeyOut, rows, many=True), "count": len(rows)}


@bp.put(ONE)
@signed_in
@describes(response={"apiKey": ApiKeyOut}, body=ApiKeyIn, errors=CHANGE_CODES)
def put(provider: str) -> ResponseReturnValue:
    """Store or replace a key; a worker tests it at once."""
    key = body(ApiKeyIn)["key"]
    check_change()
    row = provider_keys.put(db(), current_user().id, Provider(provider), key, vault=vault())
    enqueue(db(), TaskName.TEST_KEY, key_id=row.id)
    return {"apiKey": show(ApiKeyOut, row)}


@bp.post(f"{ONE}/test")
@signed_in
@describes(response={"apiKey": ApiKeyOut}, status=202, body=NothingIn, optional=True, headers=LOCATED)
def test(provider: str) -> ResponseReturnValue:
    """Test the key with its provider again; the list shows the result."""
    body(NothingIn, optional=True)
    row = provider_keys.request_test(db(), current_user().id, Provider(provider))
    enqueue(db(), TaskName.TEST_KEY, key_id=row.id)
    return {"apiKey": show(ApiKeyOut, row)}, 202, {"Location": url_for("api_keys.index"), "Retry-After": "1"}


@bp.delete(ONE)
@signed_in
@describes(errors=CHANGE_CODES)
def delete(provider: str) -> ResponseReturnValue:
    """Delete a key."""
    check_change()
    provider_keys.delete(db(), current_user().id, Provider(provider))
    return Response(status=204)
