"""Which texts are moments."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rules.values.moments import InvalidMoment, parse_moment

NO_MOMENTS = [
    "",
    "soon",
    "2027",
    "2027-W01-1",
    "20270131T090000Z",
    "2027-02-29T00:00:00Z",
    "2027-13-01",
    "2027-01-31T24:00:00Z",
    "2027-01-31T09:60:00Z",
    "2027-01-31T09:00:60Z",
    "2027-01-31T09:00:00+25:00",
    "2027-01-31T09:00:00+00:99",
    "2027-01-31T09:00:00+01:00:30",
    "2027-01-31T09:00:00+01:00:00.5",
    "2027-01-31T09:00:00 Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00",
    "\u0662\u0660\u0662\u0667-01-31",
    "-2027-01-31",
    "2027-01-31\n",
]


@pytest.mark.parametrize("text", NO_MOMENTS)
def test_what_is_no_moment_is_refused_with_an_example(text: str):
    with pytest.raises(InvalidMoment, match="such as 2027-01-31T09:00:00Z"):
        parse_moment(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T09:00", datetime(2027, 1, 31, 9, tzinfo=UTC)),
        ("2027-01-31t09:00:00z", datetime(2027, 1, 31, 9, tzinfo=UTC)),
        ("2027-01-31 09:00:00.123456789+02:00", datetime(2027, 1, 31, 7, 0, 0, 123456, tzinfo=UTC)),
        ("2027-01-31T23:30:00-0100", datetime(2027, 2, 1, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_written_in_utc(text: str, moment: datetime):
    assert parse_moment(text) == moment
    assert parse_moment(text).tzinfo is UTC


def test_without_an_offset_it_may_be_refused():
    with pytest.raises(InvalidMoment):
        parse_moment("2027-01-31T09:00:00", assume_utc=False)


@given(st.text(alphabet="0123456789-+:.TZ ", max_size=40) | st.text(max_size=40))
def test_no_text_does_anything_else(text: str):
    with suppress(InvalidMoment):
        assert parse_moment(text).tzinfo is UTC


@given(st.datetimes(timezones=st.timezones()))
def test_every_moment_that_is_written_is_read_again_or_refused(moment: datetime):
    with suppress(InvalidMoment, OverflowError):
        assert parse_moment(moment.isoformat()) == moment.astimezone(UTC)
