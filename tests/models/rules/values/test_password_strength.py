"""Which passwords are refused, and how long it takes to find out."""

import time

import pytest

from models.rules.values.password_strength import weakness

ABOUT = ("ada.lovelace", "Augusta Ada King")
GUESSED_FIRST = [
    *("12345678", "password", "Password1!", "p@ssw0rd", "qwertyuiop", "letmein123", "trustno1!", "iloveyou2"),
    *("aaaaaaaa", "abcdefgh", "20261129", "        ", "zaq12wsx", "monkey123", "x" * 1024, "password" * 128),
]
TELLING = [
    "Lovelace and horses",
    "l-o-v-e-l-a-c-e 8321!",
    "ADA.LOVELACE@x",
    "7 Augusta grass 7",
    "my AgentForge! account",
]
GOOD = [
    *(
        "long enough",
        "correct horse",
        "a much longer passphrase",
        "kX9!vq2#",
        "Надежда умирает",
        "adaptation of horses",
    ),
    *("aaaaaaaaaaaaaaaa correct horse battery", "".join(chr(0x1F600 + n * n % 64) for n in range(64))),
]
SLOW = ["4@8({[<369|1!/7$5+2%", "4@8({[<3aei69|1!/7$5+2%lozx0", "@4dMiN1!", "a1", "password", "x"]


@pytest.mark.parametrize("password", GUESSED_FIRST, ids=range(len(GUESSED_FIRST)))
def test_those_that_leaked_or_follow_a_pattern_are_easy_to_guess(password):
    assert "easy to guess" in weakness(password, ABOUT)


@pytest.mark.parametrize("password", TELLING, ids=range(len(TELLING)))
def test_those_that_contain_the_owners_or_our_name_are_refused(password):
    assert "must not contain" in weakness(password, ABOUT)


@pytest.mark.parametrize("password", GOOD, ids=range(len(GOOD)))
def test_others_are_taken(password):
    assert weakness(password, ABOUT) is None


def test_a_name_of_a_few_letters_is_in_too_many_words():
    assert weakness("long enough", ("me", "Me")) is None


@pytest.mark.parametrize("unit", SLOW, ids=range(len(SLOW)))
def test_the_longest_takes_no_time_to_judge(unit):
    weakness("warm up", ABOUT)
    before = time.process_time()
    weakness((unit * 1024)[:1024], ABOUT)
    assert time.process_time() - before < 0.5
