"""Mount points of the one URL map: `/api`, `/v1` and the root, each also below a path that a proxy adds."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOUNT_POINTS = ("/api", "/v1")
MOUNT = "agentforge.mount"  # in a request's environment: the path under which a proxy serves us, or an empty string
SANE_MOUNT = re.compile(r"(/[A-Za-z0-9._~-]+){1,8}")


class Mount:
    """Sets the path under which a proxy serves us, for links in responses; `ProxyFix` has put it into SCRIPT_NAME.

    The path is dropped if it could be anything but a path of this host. Proxies may leave it in the requested path.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the application with that path removed from PATH_INFO."""
        forwarded = environ.get("SCRIPT_NAME", "").rstrip("/")
        mount = forwarded if SANE_MOUNT.fullmatch(forwarded) and len(forwarded) <= 200 else ""
        environ["SCRIPT_NAME"] = environ[MOUNT] = mount
        path = environ.get("PATH_INFO", "")
        if mount and (path == mount or path.startswith(f"{mount}/")):
            environ["PATH_INFO"] = path[len(mount) :] or "/"
        return self._app(environ, start_response)


class Mounts:
    """Moves a leading `/api` or `/v1` into SCRIPT_NAME, so that links in responses keep the caller's mount point."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Call the application without the prefix."""
        for prefix in MOUNT_POINTS:
            path = environ.get("PATH_INFO", "")
            if path == prefix or path.startswith(prefix + "/"):
                environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
                environ["PATH_INFO"] = path[len(prefix) :] or "/"
        return self._app(environ, start_response)
