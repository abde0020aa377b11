"""When the times of a cron expression are, also where clocks are set forward or back."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rules.values.cron import CronExpression, InvalidCron

BERLIN = "Europe/Berlin"  # forward on 2027-03-28 from 2:00 to 3:00, back on 2027-10-31 from 3:00 to 2:00


def local(cron: str, start: str, number: int, zone: str = BERLIN) -> list[str]:
    """The next times by the clock on the wall, with their offsets from UTC in hours."""
    moment = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    times = CronExpression(cron).next_times(moment, zone, number)
    assert all(time.tzinfo is UTC for time in times)
    return [f"{time.astimezone(ZoneInfo(zone)):%m-%d %H:%M %z}".removesuffix("00") for time in times]


class TestOrdinaryDays:
    @pytest.mark.parametrize(
        ("cron", "times"),
        [
            ("0 7 * * *", ["06-16 07:00 +02", "06-17 07:00 +02"]),
            ("*/20 * * * *", ["06-15 12:20 +02", "06-15 12:40 +02"]),
            ("0 9 * * mon-fri", ["06-16 09:00 +02", "06-17 09:00 +02"]),
            ("30 8 1 * *", ["07-01 08:30 +02", "08-01 08:30 +02"]),
            ("0 0 L 2 *", ["02-29 00:00 +01", "02-28 00:00 +01"]),
            ("0 12 17 * 5", ["06-17 12:00 +02", "06-18 12:00 +02"]),  # either of the days
        ],
    )
    def test_have_the_times_that_the_fields_name(self, cron: str, times: list[str]) -> None:
        assert local(cron, "2027-06-15T12:00", 2) == times

    def test_a_time_itself_is_not_after_it(self) -> None:
        assert local("0 7 * * *", "2027-06-15T07:00", 1) == ["06-16 07:00 +02"]


class TestClocksSetForward:
    @pytest.mark.parametrize("cron", ["30 2 * * *", "*/30 2 * * *", "0,30 2 * * *", "30 */2 * * *"])
    def test_a_time_that_does_not_exist_is_the_next_that_does(self, cron: str) -> None:
        assert local(cron, "2027-03-28T01:00", 1) == ["03-28 03:00 +02"]

    def test_times_that_become_the_same_count_once(self) -> None:
        assert local("0,30 2,3 * * *", "2027-03-28T01:00", 3) == [
            *("03-28 03:00 +02", "03-28 03:30 +02", "03-29 02:00 +02")
        ]

    def test_every_hour_goes_on_by_the_time_that_passes(self) -> None:
        assert local("0 * * * *", "2027-03-28T00:30", 3) == ["03-28 01:00 +01", "03-28 03:00 +02", "03-28 04:00 +02"]


class TestClocksSetBack:
    @pytest.mark.parametrize("cron", ["30 2 * * *", "30 2-2 * * *"])
    def test_a_time_that_exists_twice_counts_the_first_time(self, cron: str) -> None:
        assert local(cron, "2027-10-31T01:00", 2) == ["10-31 02:30 +02", "11-01 02:30 +01"]

    def test_it_does_not_come_again_while_the_hour_is_repeated(self) -> None:
        repeated = datetime(2027, 10, 31, 1, 10, tzinfo=UTC)  # 2:10 for the second time
        (following,) = CronExpression("30 2 * * *").next_times(repeated, BERLIN, 1)
        assert following == datetime(2027, 11, 1, 1, 30, tzinfo=UTC)

    def test_every_quarter_goes_on_by_the_time_that_passes(self) -> None:
        times = local("*/30 * * * *", "2027-10-31T01:30", 5)
        assert times == [f"10-31 {time}" for time in ("02:00 +02", "02:30 +02", "02:00 +01", "02:30 +01", "03:00 +01")]


class TestIntervals:
    @pytest.mark.parametrize(
        ("cron", "minutes"),
        [
            *[("* * * * *", 1), ("*/15 * * * *", 15), ("0 * * * *", 60), ("0 7 * * *", 1440), ("0,20 7 1 1 *", 20)],
            *[("*/40 * * * *", 20), ("0,58 0,23 * * *", 2), ("0 7,19 * * MON", 720)],
        ],
    )
    def test_the_shortest_is_found_across_hours_and_midnight(self, cron: str, minutes: int) -> None:
        assert CronExpression(cron).min_interval_seconds == minutes * 60


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("cron", "word"),
        [
            *[("", "five fields"), ("* * * *", "five fields"), ("0 0 * * * *", "five fields"), ("@daily", "five")],
            *[("60 * * * *", "minute"), ("0 24 * * *", "hour"), ("0 0 0 * *", "day of month"), ("0 0 * 13 *", "month")],
            *[
                ("0 0 * * 8", "day of week"),
                ("x * * * *", "minute"),
                ("5-1 * * * *", "minute"),
                ("*/0 * * * *", "minu"),
            ],
            *[("0 0 30 2 *", "day of month"), ("0 0 * * " + "1," * 99 + "1", "at most 100 characters")],
        ],
    )
    def test_the_message_names_what_is_wrong(self, cron: str, word: str) -> None:
        with pytest.raises(InvalidCron, match=word):
            CronExpression(cron)

    @given(st.lists(st.text("0123456789*/,-#LWMONJAN?", min_size=1, max_size=6), min_size=5, max_size=5))
    def test_whatever_is_accepted_has_a_description_and_times(self, fields: list[str]) -> None:
        try:
            cron = CronExpression(" ".join(fields))
        except InvalidCron:
            return
        assert cron.description
        assert cron.min_interval_seconds >= 60
        first, *_ = cron.next_times(datetime(2027, 1, 1, tzinfo=UTC), BERLIN, 2)
        assert first > datetime(2027, 1, 1, tzinfo=UTC)


def test_it_is_described_in_english() -> None:
    assert CronExpression("0 7 * * *").description == "At 07:00 every day"
    assert CronExpression("0 9 * * MON-FRI").description == "At 09:00 on Monday through Friday"
