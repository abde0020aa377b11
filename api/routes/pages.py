"""What mails link to, for people with a browser. A page here loads nothing and speaks with this API alone."""

import base64
import hashlib
from pathlib import Path

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.openapi import describes
from api.schemas.base import Text

bp = Blueprint("pages", __name__)

RESET_PASSWORD = (Path(__file__).parent.parent / "pages" / "reset-password.html").read_text()


def _policy(page: str) -> str:
    """A Content-Security-Policy that allows what is written in the page, and nothing that anybody may add to it."""
    digests = {
        kind: hashlib.sha256(page.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0].encode()).digest()
        for kind in ("script", "style")
    }
    allowed = "; ".join(f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'" for kind, digest in digests.items())
    return f"default-src 'none'; {allowed}; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"


@bp.get("/reset-password")
@describes(answers=Text(), media="text/html")
def reset_password() -> ResponseReturnValue:
    """Where the link in the mail about a forgotten password leads; the token is behind the address's `#`."""
    policy = {"Content-Security-Policy": _policy(RESET_PASSWORD), "Referrer-Policy": "no-referrer"}
    return Response(RESET_PASSWORD, headers=policy, mimetype="text/html")
