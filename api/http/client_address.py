"""The caller's IP address in normal form, and the network by which limits count it.

Everything that is keyed by an address uses this module, so that a host is one caller however its address is written.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from flask import request

IPV6_PREFIX = 64  # bits; a customer has at least such a network, and may use every address in it

_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d{1,5})?|(?P<v4>[\d.]+):\d{1,5}")


def parse(text: str) -> IPv4Address | IPv6Address | None:
    """The address in `text`, with or without a port; None if there is none.

    An IPv4 address inside of an IPv6 address (mapped, or 6to4) is returned as the IPv4 address.
    """
    text = text.strip()
    if found := _WITH_PORT.fullmatch(text):
        text = found["v6"] or found["v4"] or ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def network_of(address: IPv4Address | IPv6Address) -> str:
    """The network that belongs to one customer: an IPv4 address, or the /64 of an IPv6 address."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, IPV6_PREFIX), strict=False))


def caller() -> str | None:
    """The address of this request's caller; None if it is not an address, as a proxy may send anything."""
    address = parse(request.remote_addr or "")
    return None if address is None else str(address)


def caller_network() -> str:
    """The network by which this request's caller is counted; `unknown` for all without a valid address."""
    address = parse(request.remote_addr or "")
    return "unknown" if address is None else network_of(address)
