"""What Stripe is needed for becomes a row and a doorbell; the answer waits for the row (`api.waiting`)."""

from typing import Any

from flask import url_for
from flask.typing import ResponseReturnValue

from api.session import db
from api.waiting import later
from models.stripe_request import StripeRequest
from tasks.queue import TaskName, enqueue


def ring_and_wait(
    job: StripeRequest, *, address: str | None = None, body: dict[str, Any] | None = None
) -> ResponseReturnValue:
    """Ring for `job` and answer with its end, or with 202, `body` and `address` when it takes longer."""
    enqueue(db(), TaskName.STRIPE_REQUEST, request_id=job.id)
    return later(job.id, address or where(job), {"id": job.id, "status": job.status, **(body or {})})


def where(job: StripeRequest) -> str:
    """Where to ask what became of it."""
    return url_for("stripe_requests.get", request_id=job.id)
