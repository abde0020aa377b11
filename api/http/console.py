"""The web console: static files below `/console/`, served before routing, authentication and rate limits.

Addresses of pages within the console get its index, whose script shows the page. Files below `assets` have a digest in
their names, so browsers keep them for good; everything else is revalidated each time.
"""

import html
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from wsgiref.headers import Headers

import orjson
from whitenoise import WhiteNoise

from api.http.mounts import MOUNT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/console/"
ASSETS = f"{PREFIX}assets/"
BASE = f'<base href="{PREFIX}">'  # in the index; its address gets the path under which a proxy serves us
STRIPE = "https://js.stripe.com"  # the only place from which Stripe allows its script to be loaded
BOOT = "'sha256-Y54wKSTzlYcOlv1g+buvWr0WtRzMMbEFnJ7QQokxKxQ='"  # of console/src/boot.js, which is in the index
POLICY = (
    f"default-src 'none'; script-src 'self' {BOOT} {STRIPE}; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data: blob: https://*.stripe.com; connect-src 'self' https://api.stripe.com; "
    f"frame-src {STRIPE} https://hooks.stripe.com; worker-src 'self' blob:; manifest-src 'self'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HSTS = "max-age=31536000; includeSubDomains"
MISSING = "The console is not built on this server. Build it with `make console`; until then, /docs shows the API."


class Console:
    """Serves the files of a directory that the build of the console fills, even while the server runs."""

    def __init__(self, app: "WSGIApplication", directory: Path, *, is_secure: bool) -> None:
        self._app, self._directory, self._is_secure = app, directory, is_secure
        self._built: tuple[tuple[int, int], WhiteNoise] | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Respond with a file, or let the application respond to everything that is not the console's."""
        path, mount = environ.get("PATH_INFO", ""), environ.get(MOUNT, "")
        if path == PREFIX.rstrip("/"):
            start_response("308 Permanent Redirect", [("Location", f"{mount}{PREFIX}"), ("Content-Length", "0")])
            return [b""]
        if not path.startswith(PREFIX):
            return self._app(environ, start_response)
        files = self._files()
        if files is None:
            return _missing(environ, start_response)
        if path in files.files and path != f"{PREFIX}index.html":
            return files.serve(files.files[path], environ, start_response)
        if path.startswith(ASSETS) or PurePosixPath(path).suffix not in ("", ".html"):
            return self._app(environ, start_response)
        index = files.files[f"{PREFIX}index.html"]
        return self._at(mount, start_response) if mount else files.serve(index, environ, start_response)

    def _files(self) -> WhiteNoise | None:
        """The files as they were last built; None if they were not."""
        try:
            state = (self._directory / "index.html").stat()
        except OSError:
            return None
        version = (state.st_mtime_ns, state.st_size)
        if self._built is None or self._built[0] != version:
            self._built = (version, self._read())
        return self._built[1]

    def _read(self) -> WhiteNoise:
        return WhiteNoise(
            self._app,
            root=str(self._directory),
            prefix=PREFIX,
            allow_all_origins=False,
            mimetypes={".webmanifest": "application/manifest+json"},
            add_headers_function=self._add_headers,
            immutable_file_test=lambda _, url: url.startswith(ASSETS),
        )

    def _add_headers(self, headers: Headers, path: str, url: str) -> None:
        headers["X-Content-Type-Options"] = "nosniff"
        if not url.startswith(ASSETS):
            headers["Cache-Control"] = "no-cache"
        if self._is_secure:
            headers["Strict-Transport-Security"] = HSTS
        if path.endswith(".html"):
            headers["Content-Security-Policy"] = POLICY
            headers["Referrer-Policy"] = "no-referrer"

    def _at(self, mount: str, start_response: "StartResponse") -> Iterable[bytes]:
        """Respond with the index for the path `mount`, under which a proxy serves us."""
        index = (self._directory / "index.html").read_text()
        body = index.replace(BASE, BASE.replace(PREFIX, html.escape(f"{mount}{PREFIX}")), 1).encode()
        headers = Headers([("Content-Type", 'text/html; charset="utf-8"'), ("Content-Length", str(len(body)))])
        self._add_headers(headers, "index.html", PREFIX)
        start_response("200 OK", headers.items())
        return [body]


def _missing(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Say that the console is not built: as a page to browsers, as a problem to programs."""
    if "text/html" in environ.get("HTTP_ACCEPT", ""):
        kind, body = "text/html; charset=utf-8", f"<!doctype html><title>AgentForge</title><p>{MISSING}</p>".encode()
    else:
        kind, body = "application/problem+json", orjson.dumps(_problem())
    length = str(len(body))
    headers = [("Content-Type", kind), ("Content-Length", length), ("Cache-Control", "no-store")]
    start_response("404 Not Found", [*headers, ("X-Content-Type-Options", "nosniff")])
    return [body]


def _problem() -> dict[str, str | int]:
    title = "Console not built"
    return {
        "type": "urn:agentforge:problem:console_not_built",
        "title": title,
        "status": 404,
        "detail": MISSING,
        "code": "console_not_built",
        "message": MISSING,
        "error": title,
    }
