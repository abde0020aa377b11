"""What is on the other side of TLS is verified, by certificates that are loaded once."""

import ssl

from workers.gateways.http.trust import system_trust


def test_certificates_and_names_are_verified():
    assert (system_trust().verify_mode, system_trust().check_hostname) == (ssl.CERT_REQUIRED, True)


def test_certificates_are_loaded_once():
    assert system_trust() is system_trust()
