"""The certificate authorities that this system trusts."""

import ssl
from functools import cache


@cache
def system_trust() -> ssl.SSLContext:
    """The TLS settings of all clients of this process; loading the certificates takes 20 ms of CPU."""
    return ssl.create_default_context()
