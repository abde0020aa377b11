"""Reads environment variables by kind, for `settings.py`, and notes all that are missing or wrong."""

import base64
import binascii
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from roles import FROM_FILES, READS, ProcessRole

REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel", "sentinels")
BROKER_SCHEMES = (*REDIS_SCHEMES, "amqp", "amqps")
WITH_TLS = ("rediss", "sentinels", "amqps")
# Their values of development are addresses on the same host and a mode, which may be right in production too.
_MAY_BE_AS_IN_DEVELOPMENT = {"DATABASE_URL", "REDIS_URL", "BROKER_URL", "OPENCLAW_URL", "STRIPE_LIVEMODE"}


class SettingsError(SystemExit):
    """Settings are missing or wrong: prints a sentence for each to standard error, and exits with status 1."""

    def __init__(self, *sentences: str) -> None:
        self.sentences: Sequence[str] = sentences
        sys.stderr.writelines(f"agentforge: {sentence}\n" for sentence in sentences)
        super().__init__(1)

    @property
    def names(self) -> frozenset[str]:
        """The variables that the sentences name, and those of files with their values."""
        named = frozenset(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", " ".join(self.sentences)))
        return named | {file for file, name in FROM_FILES.items() if name in named}


class VariableReader:
    """Reads variables by kind. In production, secrets have no defaults; variables of other roles read as empty.

    A secret NAME may be given as NAME_FILE, the path of a file with its value, as container engines provide secrets.
    A variable that is missing or wrong is noted and read as in development, until `raise_problems`.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._missing: list[str] = []
        self._wrong: list[str] = []
        self.role: ProcessRole | None = None
        named = self.choice("AGENTFORGE_ROLE", "", ("", *ProcessRole))
        self.raise_problems()  # without the role it is unknown which others are needed
        self.role = ProcessRole(named) if named else None
        self.environment = self.choice("AGENTFORGE_ENV", "development", ("development", "test", "production"))

    def raise_problems(self) -> None:
        """Raise `SettingsError` with a sentence for each problem so far, if there are any."""
        sentences = list(dict.fromkeys(self._wrong))
        if self._missing:
            names, are = ", ".join(dict.fromkeys(self._missing)), "is" if len(set(self._missing)) == 1 else "are"
            them = "it" if are == "is" else "them"
            sentences.insert(0, f"{names} {are} not set, and production does not start without {them}.")
        if sentences:
            raise SettingsError(*sentences)

    def is_read(self, name: str) -> bool:
        """Whether the role of this process reads the variable."""
        return self.role is None or name in READS[self.role]

    def text(self, name: str, default: str) -> str:
        return (self._given(name) if self.is_read(name) else "") or default

    def _given(self, name: str) -> str:
        """The variable's value, or that of the file which NAME_FILE names."""
        value, file = self._env.get(name, "").strip(), f"{name}_FILE"
        path = self._env.get(file, "").strip() if file in FROM_FILES else ""
        if not path:
            return value
        if value:
            self._wrong.append(f"{name} and {file} are both set; set one of them.")
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            self._wrong.append(f"{file} cannot be read: {why}.")
            return value

    def for_development(self, name: str) -> str:
        """A text that production refuses."""
        value = self.text(name, "")
        if value and self.environment == "production":
            self._wrong.append(f"{name} is for development, and production refuses it.")
        return value

    def secret(self, name: str, development_default: str, *, shown_as: str = "") -> str:
        """The value of a secret; `shown_as` is its name in messages, as `deploy/env.example` has it."""
        if not self.is_read(name):
            return ""
        value = self.text(name, "")
        if self.environment == "production":
            if not value:
                self._missing.append(shown_as or name)
            elif value == development_default and name not in _MAY_BE_AS_IN_DEVELOPMENT:
                self._wrong.append(f"{name} has the value for development, which production refuses.")
        return value or development_default

    def secrets(self, name: str, development_default: str) -> tuple[str, ...]:
        values = tuple(part.strip() for part in self.secret(name, development_default).split(",") if part.strip())
        if not values and self.is_read(name):
            self._wrong.append(f"{name} has nothing between its commas.")
        return values

    def signing_keys(self, plural: str, single: str, development_default: str) -> Mapping[str, str]:
        """Secrets by id from a list of id:secret; the single one, if set, comes last under the id `default`."""
        if not self.is_read(plural):
            return {}
        entries = [entry.strip().partition(":") for entry in self.text(plural, "").split(",") if entry.strip()]
        keys = {key_id: secret for key_id, _, secret in entries}
        if len(keys) < len(entries) or not all(keys) or "default" in keys:
            self._wrong.append(f"{plural} must be a list of id:secret, no id twice and none called default.")
        if not keys or self.text(single, ""):
            keys["default"] = self.secret(single, development_default, shown_as=plural)
        if any(len(secret.encode()) < 32 for secret in keys.values()):
            self._wrong.append(f"{plural if entries else single} must have at least 32 bytes in each secret.")
        return keys

    def keyring(self, name: str, development_default: str) -> str:
        value = self.secret(name, development_default)
        for entry in value.split(",") if self.is_read(name) else ():
            key_id, _, encoded = entry.partition(":")
            try:
                usable = bool(key_id) and len(base64.b64decode(encoded, validate=True)) == 32
            except (binascii.Error, ValueError):
                usable = False
            if not usable:
                self._wrong.append(f"{name} must be a list of id:key, each key 32 bytes in base64.")
        return value

    def livemode(self, name: str, key: str) -> bool:
        """Whether the Stripe account is live: derived from the secret key, or set in a process that has no key."""
        given = self.choice(name, "", ("", "true", "false"))
        if not key:
            return self.secret(name, "false") == "true"
        if given and (given == "true") is not ("_live_" in key):
            self._wrong.append(f"{name} and STRIPE_SECRET_KEY are not of the same mode.")
        return "_live_" in key

    def backend(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        """The address of one of our servers; with TLS_CA_FILE set, its certificate is verified by that file."""
        if not self.is_read(name):
            return ""
        url = self.text(name, default)
        scheme = url.partition("://")[0]
        if scheme not in schemes:
            self._wrong.append(f"{name} must begin with one of {', '.join(f'{one}://' for one in schemes)}.")
        authority = self.text("TLS_CA_FILE", "")
        if not authority or scheme not in WITH_TLS or "ssl_ca_certs=" in url:
            return url
        if not os.path.isfile(authority):
            self._wrong.append("TLS_CA_FILE must be the path of a PEM file.")
        return f"{url}{'&' if '?' in url else '?'}ssl_ca_certs={quote(authority)}"

    def whole(self, name: str, default: int) -> int:
        value = self.text(name, "")
        if value and not value.isdigit():
            self._wrong.append(f"{name} must be a whole number.")
            return default
        return int(value) if value else default

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(name, "").split(",") if part.strip())

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            self._wrong.append(f"{name} must be one of {', '.join(filter(None, choices))}.")
            return default
        return value
