"""Enqueues requests to Stripe; a response waits for their result."""

from typing import Any

from flask import url_for
from flask.typing import ResponseReturnValue

from api.http.session import db
from api.jobs.prefer_wait import accepted
from models.tables import StripeRequest
from tasks.queue import TaskName, enqueue


def enqueue_and_wait(
    job: StripeRequest, *, address: str | None = None, body: dict[str, Any] | None = None
) -> ResponseReturnValue:
    """Enqueue `job` and respond with its result, or with 202, `body` and `address` if it takes longer."""
    enqueue(db(), TaskName.STRIPE_REQUEST, request_id=job.id)
    return accepted(job.id, address or where(job), {"id": job.id, "status": job.status, **(body or {})})


def where(job: StripeRequest) -> str:
    """The address at which to poll for the result of `job`."""
    return url_for("stripe_requests.get", request_id=job.id)
