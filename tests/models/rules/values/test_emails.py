"""Which addresses can be written to, and which are the same."""

import pytest

from models.rules.values import emails


class TestNormalize:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            (" Ada.Lovelace@Example.com ", "Ada.Lovelace@Example.com"),
            ("ada@münchen.example", "ada@xn--mnchen-3ya.example"),
            ("ada@MÜNCHEN.example", "ada@xn--mnchen-3ya.example"),
            ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ],
    )
    def test_keeps_an_address_in_ascii(self, given, kept):
        assert emails.normalize(given) == kept

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ("ädä@example.com", "ASCII"),
            ("a" * 65 + "@example.com", "64"),
            ("ada", "such as name@"),
            ("@example.com", "such as name@"),
            ("ada@", "such as name@"),
            ("ada@mün chen.example", "domain"),
            ("ada@" + "ü" * 64 + ".example", "domain"),
            ("ada@" + ".".join(["ü" * 20] * 12), "domain|254"),
        ],
    )
    def test_refuses_what_mail_does_not_reach_with_the_reason(self, given, reason):
        with pytest.raises(ValueError, match=reason):
            emails.normalize(given)


class TestKey:
    def test_is_the_same_whatever_the_case_and_the_spelling_of_the_domain(self):
        spellings = ["ada@münchen.example", " ADA@MÜNCHEN.EXAMPLE", "aDa@xn--MNCHEN-3YA.example"]
        assert {emails.key(spelling) for spelling in spellings} == {"ada@xn--mnchen-3ya.example"}

    def test_lowers_a_to_z_alone(self):
        assert emails.key("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}I\N{KELVIN SIGN}") == (
            "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}i\N{KELVIN SIGN}"
        )

    def test_takes_any_text(self):
        assert emails.key("\ud800@") == "\ud800@"
