import base64
import logging
import traceback
from dataclasses import replace
from uuid import uuid4

import pytest

from models.errors import ForgeError
from models.rules.prices.pricing import Provider
from models.vault import SecretUnreadable, Vault
from settings import DEVELOPMENT_KEY


def ring(*entries: tuple[str, int]) -> str:
    return ",".join(f"{key_id}:{base64.b64encode(bytes([byte]) * 32).decode()}" for key_id, byte in entries)


SECRET = "sk-canary-0123456789"
PLACE = {"user_id": uuid4(), "provider": Provider.OPENAI, "row_id": uuid4()}


class TestSealing:
    def test_opens_what_it_sealed_for_the_same_row(self):
        vault = Vault(ring(("a", 1)))
        for secret in (SECRET, "", "schlüssel 🔑"):
            assert vault.decrypt(vault.encrypt(secret, **PLACE), **PLACE) == secret

    def test_the_development_keys_of_the_settings_work(self):
        assert Vault(DEVELOPMENT_KEY).encrypt(SECRET, **PLACE).key_id == "dev"

    def test_the_same_secret_never_looks_the_same(self):
        vault = Vault(ring(("a", 1)))
        sealed = [vault.encrypt(SECRET, **PLACE) for _ in range(50)]
        assert len({one.nonce for one in sealed}) == len({one.ciphertext for one in sealed}) == 50
        assert {len(one.nonce) for one in sealed} == {12}
        assert not any(SECRET.encode() in one.ciphertext for one in sealed)

    @pytest.mark.parametrize(
        "other", [{"user_id": uuid4()}, {"provider": "google"}, {"row_id": uuid4()}, {"user_id": PLACE["row_id"]}]
    )
    def test_does_not_open_in_another_context(self, other):
        vault = Vault(ring(("a", 1)))
        with pytest.raises(SecretUnreadable):
            vault.decrypt(vault.encrypt(SECRET, **PLACE), **{**PLACE, **other})

    def test_parts_of_a_context_cannot_be_shifted_into_each_other(self):
        vault = Vault(ring(("a", 1)))
        sealed = vault.encrypt(SECRET, user_id="u", provider='p", "q', row_id="r")
        with pytest.raises(SecretUnreadable):
            vault.decrypt(sealed, user_id="u", provider="p", row_id='q", "r')

    def test_does_not_open_what_was_changed(self):
        vault = Vault(ring(("a", 1)))
        sealed = vault.encrypt(SECRET, **PLACE)
        for broken in (
            replace(sealed, ciphertext=sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1])),
            replace(sealed, ciphertext=b""),
            replace(sealed, nonce=bytes(12)),
            replace(sealed, nonce=b""),
        ):
            with pytest.raises(SecretUnreadable):
                vault.decrypt(broken, **PLACE)


class TestRotation:
    def test_the_first_key_seals_and_the_older_ones_still_open(self):
        old = Vault(ring(("a", 1))).encrypt(SECRET, **PLACE)
        vault = Vault(ring(("b", 2), ("a", 1)))
        new = vault.encrypt(vault.decrypt(old, **PLACE), **PLACE)
        assert (old.key_id, new.key_id, vault.current) == ("a", "b", "b")

    def test_a_key_that_is_gone_is_said_so(self):
        sealed = Vault(ring(("a", 1))).encrypt(SECRET, **PLACE)
        with pytest.raises(ForgeError, match="is not in use any more"):
            Vault(ring(("b", 2))).decrypt(sealed, **PLACE)

    def test_another_key_under_the_same_id_opens_nothing(self):
        sealed = Vault(ring(("a", 1))).encrypt(SECRET, **PLACE)
        with pytest.raises(SecretUnreadable):
            Vault(ring(("a", 2))).decrypt(sealed, **PLACE)

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "a",
            "a:",
            ":" + "A" * 44,
            "a:not-base64!",
            "a:" + base64.b64encode(b"x" * 16).decode(),
            ring(("a", 1), ("a", 2)),
        ],
    )
    def test_unusable_keys_are_refused_without_being_quoted(self, bad):
        with pytest.raises(ValueError, match=r"entry [12] of the key ring") as caught:
            Vault(bad)
        assert "eHh4" not in str(caught.value)


class TestSilence:
    def test_neither_keys_nor_secrets_are_in_a_repr_an_error_or_a_log(self, caplog):
        caplog.set_level(logging.DEBUG)
        keyring = ring(("b", 2), ("a", 1))
        vault = Vault(keyring)
        sealed = vault.encrypt(SECRET, **PLACE)
        with pytest.raises(SecretUnreadable) as caught:
            vault.decrypt(sealed, **{**PLACE, "provider": "google"})
        seen = [repr(vault), str(vault), repr(sealed), *traceback.format_exception(caught.value), caplog.text]
        for secret in (SECRET, *(entry.partition(":")[2] for entry in keyring.split(","))):
            assert not any(secret in text for text in seen)
        assert "'a', 'b'" in repr(vault) or "'b', 'a'" in repr(vault)
