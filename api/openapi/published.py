"""Serves the OpenAPI description, built once per process, and Swagger UI, whose files come from a package."""

import hashlib
import mimetypes
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import flask_swagger_ui
from flask import Flask, Response, render_template_string, request, url_for

from api.http.json import encode
from api.http.mounts import MOUNT
from api.openapi.document import Document

PARTS = Path(flask_swagger_ui.__file__).parent / "dist"
HOUR = "public, max-age=3600"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI uses inline styles
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
const container = document.getElementById("description");
SwaggerUIBundle({
  url: container.dataset.from,
  domNode: container,
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
    """Respond with the OpenAPI document, or 304 if the client has it."""
    body, tag = _encoded(app, request.environ.get(MOUNT, ""))
    return _kept(Response(body, mimetype="application/json"), tag)


def page() -> Response:
    """Respond with the page of Swagger UI, with links below the caller's mount point."""
    html = render_template_string(
        PAGE, description=url_for("docs.openapi"), file=lambda name: url_for("docs.asset", part=name)
    )
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def file(name: str) -> Response:
    """Respond with a file of Swagger UI."""
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
    response.make_conditional(request.environ)
    return response


@cache
def _document(app: Flask) -> dict[str, Any]:
    return Document(app).content


@lru_cache(maxsize=8)
def _mounted(app: Flask, mount: str) -> tuple[bytes, str]:
    """The encoded document and its ETag, with the proxy's path `mount` before the addresses of servers."""
    document = _document(app)
    servers = [{**server, "url": f"{mount}{server['url']}"} for server in document["servers"]]
    body = encode({**document, "servers": servers})
    return body, _tag(body)


def _encoded(app: Flask, mount: str) -> tuple[bytes, str]:
    """The document as `_mounted` returns it; the first request builds it while others wait."""
    with _lock:
        return _mounted(app, mount)
