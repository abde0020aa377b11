"""Normalization and comparison of email addresses.

Two addresses are equal if their `key` is. It lowers only A to Z, in Python as in the database (`COLLATE "C"`), so that
no locale affects who owns an account. Addresses are stored in ASCII: a domain with other letters is encoded (IDNA), and
a local part with other letters is rejected, because many mail servers do not support SMTPUTF8.
"""

import idna

MAX_LENGTH = 254
MAX_LOCAL_LENGTH = 64


def normalize(address: str) -> str:
    """Return the address in the form that is stored and mailed to; raises `ValueError` with a message for the user."""
    local, _, domain = address.strip().rpartition("@")
    if not local or not domain:
        raise ValueError("Must be an email address such as name@example.com.")
    if not local.isascii():
        raise ValueError("Must have only ASCII characters before the @: other mail servers would not deliver to it.")
    if len(local) > MAX_LOCAL_LENGTH:
        raise ValueError(f"Must have at most {MAX_LOCAL_LENGTH} characters before the @.")
    found = f"{local}@{domain if domain.isascii() else _encode(domain)}"
    if len(found) > MAX_LENGTH:
        raise ValueError(f"Must have at most {MAX_LENGTH} characters.")
    return found


def key(address: str) -> str:
    """Return the form by which addresses are compared; takes any text, so that invalid addresses just match none."""
    try:
        address = normalize(address)
    except ValueError:
        address = address.strip()
    return address.encode(errors="surrogatepass").lower().decode(errors="surrogatepass")  # bytes.lower: only A to Z


def _encode(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError("Must have a valid domain after the @.") from None
