"""Days of the past have their turn, each of them within four weeks."""

from datetime import UTC, datetime, timedelta

from models.rules.values.rotation import DAYS, Day, day_of, days_in_rotation

NOW = datetime(2026, 11, 29, 15, tzinfo=UTC)
OLDEST, UNTIL = NOW - timedelta(days=400), NOW - timedelta(days=35)


def numbers(last: datetime | None, now: datetime) -> list[int]:
    return [day.number for day in days_in_rotation(OLDEST, UNTIL, last=last, now=now)]


def test_four_weeks_of_daily_runs_compare_every_day_once():
    runs = [NOW + timedelta(days=number) for number in range(DAYS)]
    seen = [number for now in runs for number in numbers(now - timedelta(days=1), now)]
    assert sorted(seen) == list(range(day_of(OLDEST).number, day_of(UNTIL).number))


def test_days_whose_turn_was_missed_have_it_with_the_next_run():
    apart = [
        numbers(NOW - timedelta(days=1), NOW),
        numbers(NOW, NOW + timedelta(days=1)),
        numbers(NOW + timedelta(days=1), NOW + timedelta(days=2)),
    ]
    together = numbers(NOW - timedelta(days=1), NOW + timedelta(days=2))
    assert together == sorted(number for run in apart for number in run)


def test_a_long_pause_compares_everything_once():
    assert len(numbers(NOW - timedelta(days=365), NOW)) == day_of(UNTIL).number - day_of(OLDEST).number


def test_a_second_run_on_one_day_compares_the_same_days():
    assert numbers(NOW, NOW + timedelta(hours=1)) == numbers(None, NOW)


def test_a_day_begins_at_midnight_in_utc():
    assert Day(day_of(NOW).number).begin == datetime(2026, 11, 29, tzinfo=UTC)
    assert Day(day_of(NOW).number).end == datetime(2026, 11, 30, tzinfo=UTC)
