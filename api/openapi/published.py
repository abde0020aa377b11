"""The description as it is served: built once from the URL map, and drawn by Swagger UI, whose files ship with us."""

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from threading import Lock

import flask_swagger_ui
from flask import Flask, Response, render_template_string, request, url_for

from api.json import encode
from api.openapi.document import Document

PARTS = Path(flask_swagger_ui.__file__).parent / "dist"
HOUR = "public, max-age=3600"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI draws with inline styles
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AgentForge API</title>
<link rel="icon" href="{{ file('favicon-32x32.png') }}">
<link rel="stylesheet" href="{{ file('swagger-ui.css') }}">
<div id="description" data-from="{{ description }}"></div>
<script src="{{ file('swagger-ui-bundle.js') }}"></script>
<script src="{{ file('start.js') }}"></script>
</html>
"""
START = """\
const place = document.getElementById("description");
SwaggerUIBundle({
  url: place.dataset.from,
  domNode: place,
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""

_lock = Lock()


def description(app: Flask) -> Response:
    """The document; 304 for whoever has it."""
    body, tag = _encoded(app)
    return _kept(Response(body, mimetype="application/json"), tag)


def page() -> Response:
    """The page, whose links keep the caller's door."""
    html = render_template_string(
        PAGE, description=url_for("docs.openapi"), file=lambda name: url_for("docs.asset", part=name)
    )
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def file(name: str) -> Response:
    """One of the page's files."""
    content, tag = _read(name)
    return _kept(Response(content, mimetype=mimetypes.guess_type(name)[0]), tag)


@cache
def _read(name: str) -> tuple[bytes, str]:
    content = START.encode() if name == "start.js" else (PARTS / name).read_bytes()
    return content, _tag(content)


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _kept(response: Response, tag: str) -> Response:
    response.set_etag(tag)
    response.headers["Cache-Control"] = HOUR
    return response.make_conditional(request.environ)


@cache
def _document(app: Flask) -> tuple[bytes, str]:
    body = encode(Document(app).content)
    return body, _tag(body)


def _encoded(app: Flask) -> tuple[bytes, str]:
    """Built by whoever asks first, while the others wait."""
    with _lock:
        return _document(app)
