"""Pages that mails link to. They load no other files and send requests to this API only."""

import base64
import hashlib
import re
from pathlib import Path

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from api.openapi import describes
from api.schemas.base import String

bp = Blueprint("pages", __name__)

TEMPLATE = (Path(__file__).parent.parent.parent / "pages" / "mailed-link.html").read_text()


def _page(title: str, posts_to: str, fields: str) -> str:
    """Build the page of a link: its form has the HTML `fields` and is posted with the token to `posts_to`."""
    filled = {"title": title, "posts_to": posts_to, "fields": fields}
    return re.sub(r"{{(\w+)}}", lambda found: filled[found[1]], TEMPLATE)


RESET_PASSWORD = _page(
    "A new password",
    "auth/reset-password/confirm",
    """<label for="password">At least 8 characters</label>
<input id="password" name="newPassword" type="password" minlength="8" maxlength="1024" autocomplete="new-password"
 required autofocus>
<button>Set password</button>""",
)
VERIFY = _page(
    "Your email address",
    "auth/verify",
    """<p>Confirm that the address to which this link was mailed is yours. If you have no account here, close this
page.</p>
<button>Confirm</button>""",
)
UNDO_EMAIL = _page(
    "Your email address was changed",
    "auth/undo-email",
    """<p>If you did not change the address of your account, restore the one to which this link was mailed. All sessions
and access keys of your account end, and you get a link for a new password.</p>
<button>Restore this address</button>""",
)
UNSUBSCRIBE = _page(
    "Stop getting mails",
    "unsubscribe",
    """<p>You will not get such mails any more. Mails about payments and the security of your account still come.
You can change this in the settings at any time.</p>
<button>Stop such mails</button>""",
)


def _policy(page: str) -> str:
    """A Content-Security-Policy that allows the page's own script and style by their digests, and no others."""
    digests = {
        kind: hashlib.sha256(page.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0].encode()).digest()
        for kind in ("script", "style")
    }
    allowed = "; ".join(f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'" for kind, digest in digests.items())
    return f"default-src 'none'; {allowed}; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"


@bp.get("/reset-password")
@describes(response=String(), media="text/html")
def reset_password() -> ResponseReturnValue:
    """Show the page for setting a new password. The mailed link has its token in the fragment, after the `#`."""
    return _served(RESET_PASSWORD)


@bp.get("/verify")
@describes(response=String(), media="text/html")
def verify() -> ResponseReturnValue:
    """Show the page for verifying an email address. Opening it changes nothing; its button verifies the address."""
    return _served(VERIFY)


@bp.get("/undo-email")
@describes(response=String(), media="text/html")
def undo_email() -> ResponseReturnValue:
    """Show the page for restoring a changed email address. Opening it changes nothing; its button restores it."""
    return _served(UNDO_EMAIL)


@bp.get("/unsubscribe")
@describes(response=String(), media="text/html")
def unsubscribe() -> ResponseReturnValue:
    """Show the page for turning mails off. Opening it changes nothing, because mail scanners open addresses too."""
    return _served(UNSUBSCRIBE)


def _served(page: str) -> Response:
    policy = {"Content-Security-Policy": _policy(page), "Referrer-Policy": "no-referrer"}
    return Response(page, headers=policy, mimetype="text/html")
