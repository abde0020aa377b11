"""Conditional requests (RFC 9110, section 13), which prevent that a client overwrites unseen changes.

The ETag of a workflow is a digest of its response, with the id of the version in place of the graph, because a version
never changes. So the tag changes with every change of the response. The number would not do: an editor's next save may
take the number of the version before.
"""

import hashlib
import re
from collections.abc import Collection
from typing import Any
from uuid import UUID

from flask import Flask, Response, request

from api.auth.authenticate import current_user
from api.http import errors
from api.http.json import encode
from api.http.parsing import show
from api.http.session import db
from api.schemas.workflows.workflows import WorkflowOut
from models.errors import ForgeError, PreconditionFailed
from models.services.workflows import workflows
from models.tables import Workflow

TAG = r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
TAGS = re.compile(rf"[ \t]*(?:,[ \t]*)*{TAG}(?:[ \t]*,(?:[ \t]*{TAG})?)*[ \t]*")
ANY = "*"


class MalformedIfMatch(ForgeError):
    """If-Match is neither `*` nor a list of ETags."""

    code = "malformed_if_match"

    def __init__(self) -> None:
        super().__init__('If-Match must be `*`, or ETags with their quotes: "5f0c8a52".')


class ChangedMeanwhile(PreconditionFailed):
    """The object was changed since the caller read it; the response has it as it is `shown`, with its ETag."""

    def __init__(self, kind: str, shown: dict[str, Any], tag: str) -> None:
        version = f"version {shown['version']}" if "version" in shown else "one"
        super().__init__(
            f"The {kind} was changed since you read it. This response has the stored {version}:"
            " change that, or save without If-Match."
        )
        self.kind, self.shown, self.tag = kind, shown, tag


def init_app(app: Flask) -> None:
    """Respond to a failed precondition with the stored object."""
    app.register_error_handler(ChangedMeanwhile, _show_current)


def shown_with_tag(workflow: Workflow) -> tuple[dict[str, Any], dict[str, str]]:
    """The body of a response with one workflow, and its headers."""
    shown = show(WorkflowOut, workflow)
    return {"workflow": shown}, {"ETag": f'"{tag_of(workflow, shown)}"'}


def tag_of(workflow: Workflow, shown: dict[str, Any]) -> str:
    """The ETag of a workflow that is `shown` by `WorkflowOut`, without quotes."""
    hashed = {name: value for name, value in shown.items() if name not in ("nodes", "connections")}
    hashed["graph"] = workflow.latest.id
    return digest(hashed)


def require_match(workflow_id: UUID) -> None:
    """Check `If-Match` against the stored workflow, and lock that until the end of the request.

    Raises:
        MalformedIfMatch: the header cannot be parsed.
        NotFound: the caller has no such workflow.
        ChangedMeanwhile: no tag in the header is that of the stored workflow.
    """
    tags = tags_to_match()
    if tags is None:
        return
    workflow = workflows.lock(db(), current_user(), workflow_id)
    shown = show(WorkflowOut, workflow)
    if (tag := tag_of(workflow, shown)) not in tags:
        raise ChangedMeanwhile("workflow", shown, tag)


def tags_to_match() -> Collection[str] | None:
    """The ETags in `If-Match`, without quotes; None if any state will do. Raises `MalformedIfMatch`.

    A weak tag counts as the strong one, because proxies that compress a response make its tag weak.
    """
    header = request.headers.get("If-Match")
    if header is None or header.strip() == ANY:
        return None
    if not TAGS.fullmatch(header):
        raise MalformedIfMatch
    return re.findall(TAG, header)


def digest(state: dict[str, Any]) -> str:
    """An ETag for this state, without quotes."""
    return hashlib.blake2b(encode(state), digest_size=16).hexdigest()


def _show_current(error: ChangedMeanwhile) -> Response:
    tag = {"ETag": f'"{error.tag}"'}
    status = errors.STATUS[PreconditionFailed]
    return errors.problem(status, error.code, error.detail, headers=tag, more={error.kind: error.shown})
