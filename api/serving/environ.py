"""The WSGI environment of an ASGI request whose body is received before it runs."""

import sys
from collections.abc import Iterable
from io import BytesIO
from typing import Any
from urllib.parse import quote

Scope = dict[str, Any]  # of ASGI
Environ = dict[str, Any]  # of WSGI (PEP 3333)

_PLAIN = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def build(scope: Scope) -> Environ:
    """Return the environment of the request of `scope`, without a body."""
    query, (host, port) = scope["query_string"].decode("latin-1"), scope["server"] or ("", 0)
    raw_path = scope["raw_path"].decode("latin-1") or quote(scope["path"])
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{raw_path}?{query}" if query else raw_path,
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str((scope["client"] or ("",))[0]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    _add_headers(environ, scope["headers"])
    return environ


def add_body(environ: Environ, body: bytes) -> None:
    """Put the body into the environment, also one that was sent in chunks."""
    if body:
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))


def _add_headers(environ: Environ, headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if b"_" in name:
            continue  # in an environment X_Forwarded_For would look like X-Forwarded-For
        text = value.decode("latin-1")
        key = _PLAIN.get(name) or "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        separator = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{text}" if key in environ else text
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body is whole
