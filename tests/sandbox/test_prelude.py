"""The functions of the prelude, beside what Python's own libraries say."""

import base64
import csv
import hashlib
import hmac
import io
import json
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ExpressionFailed
from models.rules.expressions.evaluate import compile_expression
from models.rules.values.scope import Scope
from sandbox.image import GUEST
from tests.support.thorough import examples, sample

TZDATA = resources.files("tzdata")
MOMENT = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)


def value_of(source, mode="expression", **given):
    return compile_expression(source, mode=mode).evaluate(Scope({"input": given}, MOMENT, "seed"))


def refused(source, **given):
    with pytest.raises(ExpressionFailed) as failure:
        value_of(source, **given)
    return failure.value.detail


ROWS = [{"k": "b", "n": 2}, {"k": "a", "n": 1}, {"k": "b", "n": 3}]


class TestLists:
    @pytest.mark.parametrize(
        ("source", "value"),
        [
            ("groupBy(input.rows, 'k')", {"b": [ROWS[0], ROWS[2]], "a": [ROWS[1]]}),
            ("groupBy(input.rows, r => r.n > 1)", {"true": [ROWS[0], ROWS[2]], "false": [ROWS[1]]}),
            ("groupBy([{k: '__proto__'}], 'k')", {"__proto__": [{"k": "__proto__"}]}),
            ("countBy(input.rows, 'k')", {"b": 2, "a": 1}),
            ("keyBy(input.rows, 'k')", {"b": ROWS[2], "a": ROWS[1]}),
            ("uniqueBy(input.rows, 'k')", ROWS[:2]),
            ("uniqueBy([1, 2, 1, '1', {a: 1}, {a: 1}])", [1, 2, "1", {"a": 1}]),
            ("sortBy(input.rows, 'n')", [ROWS[1], ROWS[0], ROWS[2]]),
            ("sortBy(input.rows, r => r.k, 'desc')", [ROWS[0], ROWS[2], ROWS[1]]),
            ("sum(input.rows, 'n')", 6),
            ("sum([0.5, 1])", 1.5),
            ("sum([])", 0),
            ("average(input.rows, 'n')", 2),
            ("range(3)", [0, 1, 2]),
            ("range(1, 4)", [1, 2, 3]),
            ("range(3, 0, -1)", [3, 2, 1]),
            ("chunk([1, 2, 3, 4, 5], 2)", [[1, 2], [3, 4], [5]]),
            ("pick(input.rows[0], 'n', 'gone')", {"n": 2}),
            ("omit(input.rows[0], ['n'])", {"k": "b"}),
            ("merge({a: {b: 1, c: 2}, d: [1]}, {a: {c: 3}, d: [2]})", {"a": {"b": 1, "c": 3}, "d": [2]}),
            ("merge(null, {a: 1}, undefined)", {"a": 1}),
            ("merge(JSON.parse('{\"__proto__\": {\"x\": 1}}'), {}).x ?? 'unharmed'", "unharmed"),
        ],
    )
    def test_computes(self, source, value):
        assert value_of(source, rows=ROWS) == value

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("groupBy({}, 'k')", "`groupBy` takes a list, not an object"),
            ("sum(['1'])", "`sum` takes numbers, not a text; Number(x) makes one"),
            ("sum(null)", "`sum` takes a list, not null"),
            ("average([])", "`average` needs at least one item"),
            ("range(0, 1, 0)", "a step that is not 0"),
            ("range(1e9)", "at most 1,000,000 numbers"),
            ("chunk([1], 0)", "a whole number of at least 1"),
        ],
    )
    def test_refuses(self, source, words):
        assert words in refused(source)


class TestBytes:
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.text("abäß€😀", max_size=100))
    @settings(max_examples=examples(60))
    def test_encodes_and_signs_as_python_does(self, text, key):
        text, data, secret = text.replace("\x00", ""), text.replace("\x00", "").encode(), key.encode()
        source = (
            "[base64(input.t), fromBase64(base64(input.t)), base64Url(input.t), hex(input.t), sha256(input.t), "
            "sha1(input.t), hmac(input.k, input.t), hmac(input.k, input.t, 'base64', 'sha1')]"
        )
        assert value_of(source, t=text, k=key) == [
            base64.b64encode(data).decode(),
            text,
            base64.urlsafe_b64encode(data).decode().rstrip("="),
            data.hex(),
            hashlib.sha256(data).hexdigest(),
            hashlib.sha1(data).hexdigest(),  # noqa: S324  # some APIs want it
            hmac.digest(secret, data, "sha256").hex(),
            base64.b64encode(hmac.digest(secret, data, "sha1")).decode(),
        ]

    @pytest.mark.parametrize("length", [55, 56, 63, 64, 65, 119, 1_000])
    def test_hashes_texts_of_every_length(self, length):
        assert value_of(f"sha256('x'.repeat({length}))") == hashlib.sha256(b"x" * length).hexdigest()

    def test_a_signature_may_be_the_key_of_the_next(self):
        first = hmac.digest(b"AWS4secret", b"20260701", "sha256")
        assert value_of("hmac(hmac('AWS4secret', '20260701', 'bytes'), 'eu-north-1')") == (
            hmac.digest(first, b"eu-north-1", "sha256").hex()
        )

    def test_an_id_is_of_version_4(self):
        assert value_of("/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid())")

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("sha256(1)", "`sha256` takes a text, not a number; String(x) makes one"),
            ("sha256('x', 'base32')", "hex, base64, base64url or bytes, not base32"),
            ("hmac('k', 'x', 'hex', 'md5')", "`hmac` knows sha256 and sha1, not md5"),
            ("fromBase64('a*b')", "The text is not base64: it contains `*`"),
            ("fromBase64('/w==')", "not valid UTF-8 text"),
        ],
    )
    def test_refuses(self, source, words):
        assert words in refused(source)


class TestTexts:
    @pytest.mark.parametrize(
        ("source", "value"),
        [
            ("urlEncode('a b/ü&!*')", "a%20b%2F%C3%BC%26%21%2A"),
            ("urlEncode(5)", "5"),
            ("queryString({q: 'a b', page: 2, tag: ['x', 'y'], none: null})", "q=a%20b&page=2&tag=x&tag=y"),
            ("slug('  Crème Brûlée à la Straße! ')", "creme-brulee-a-la-strasse"),
            ("slug('Ærø Ødegård Łódź 東京 2026')", "aero-odegard-lodz-東京-2026"),
            ('parseCsv(\'a,b\\n1,"x,""y"""\\r\\n\\n2\\n\')', [{"a": "1", "b": 'x,"y"'}, {"a": "2", "b": ""}]),
            ("parseCsv('1;2\\n3;4', {separator: ';', header: false})", [["1", "2"], ["3", "4"]]),
            ("toCsv([{a: 1, b: 2}], ['b', 'a'])", "b,a\n2,1\n"),
            ("toCsv([{a: 1, b: 'x,y'}, {b: '\"', c: null}])", 'a,b,c\n1,"x,y",\n,"""",\n'),
            ("parseXml('<a x=\"1\"><b>t &amp; &#228;</b><b/></a>')", {"a": {"@x": "1", "b": ["t & ä", ""]}}),
            ("parseXml('<?xml version=\"1.0\"?><!-- c --><a><![CDATA[<b>]]></a>')", {"a": "<b>"}),
            ("parseXml(\"<s:E xmlns:s='u'><s:Body/></s:E>\")", {"s:E": {"@xmlns:s": "u", "s:Body": ""}}),
            ("toXml({a: {'@x': 1, b: ['t & u', null]}})", '<a x="1"><b>t &amp; u</b><b></b></a>'),
        ],
    )
    def test_computes(self, source, value):
        assert value_of(source) == value

    @given(st.lists(st.lists(st.text('ab,"\n;ä ', min_size=1, max_size=8), min_size=2, max_size=2), max_size=8))
    @settings(max_examples=examples(60))
    def test_reads_the_csv_that_python_writes(self, rows):
        written = io.StringIO()
        csv.writer(written).writerows(rows)
        assert value_of("parseCsv(input.text, {header: false})", text=written.getvalue()) == rows

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("parseCsv('a\\n\"b')", "is not closed"),
            ("parseXml('<a><b></a>')", "`</a>` closes no open element"),
            ("parseXml('<a>')", "`<a>` is not closed"),
            ("parseXml('<a')", "cannot be read at character 1"),
            ("slug(null)", "`slug` takes a text, not null"),
            ("urlEncode({})", "`urlEncode` takes a text, not an object"),
        ],
    )
    def test_refuses(self, source, words):
        assert words in refused(source)

    def test_no_entities_of_a_document_are_expanded(self):
        document = '<!DOCTYPE a [<!ENTITY x "boom"><!ENTITY y SYSTEM "file:///etc/passwd">]><a>&x;&y;</a>'
        assert value_of("parseXml(input.x)", x=document) == {"a": "&x;&y;"}


class TestDates:
    @pytest.mark.parametrize(
        ("source", "value"),
        [
            ("now()", "2026-07-01T10:30:00.000Z"),
            ("formatDate(now(), 'yyyy-MM-dd HH:mm', 'Europe/Oslo')", "2026-07-01 12:30"),
            ("formatDate(now())", "2026-07-01T10:30:00Z"),
            (
                "formatDate('2026-01-05', \"EEEE, d MMMM yyyy 'at' h a, 'week' ww, 'day' DDD, Q\")",
                "Monday, 5 January 2026 at 12 AM, week 02, day 005, 1",
            ),
            ("formatDate('2026-07-01T10:00:00Z', 'HH:mm XXX xx', 'America/New_York')", "06:00 -04:00 -0400"),
            ("formatDate('2026-03-05T07:08:09.010Z', \"''yy M H:m:s.SSS''\")", "'26 3 7:8:9.010'"),
            ("formatDate(0, 'yyyy-MM-dd', '-03:30')", "1969-12-31"),
            ("parseDate('2026-07-01 12:30', undefined, 'Europe/Oslo')", "2026-07-01T10:30:00.000Z"),
            ("parseDate('2026-07-01T12:30:00.5+02:00')", "2026-07-01T10:30:00.500Z"),
            ("parseDate('01.07.2026 12:30', 'dd.MM.yyyy HH:mm', 'Europe/Oslo')", "2026-07-01T10:30:00.000Z"),
            ("parseDate('Jul 1, 2026 1:05 PM', 'MMM d, yyyy h:mm a')", "2026-07-01T13:05:00.000Z"),
            ("parseDate('1/7/26', 'd/M/yy')", "2026-07-01T00:00:00.000Z"),
            ("addTime('2026-03-28T12:00:00+01:00', {days: 1}, 'Europe/Oslo')", "2026-03-29T10:00:00.000Z"),
            ("addTime('2026-03-28T12:00:00+01:00', {hours: 24}, 'Europe/Oslo')", "2026-03-29T11:00:00.000Z"),
            ("addTime('2026-01-31', {months: 1})", "2026-02-28T00:00:00.000Z"),
            ("addTime('2024-02-29', {years: -1, minutes: 90})", "2023-02-28T01:30:00.000Z"),
            ("addTime('2026-01-01', {week: 2, day: 1})", "2026-01-16T00:00:00.000Z"),
            ("startOf(now(), 'day', 'Europe/Oslo')", "2026-06-30T22:00:00.000Z"),
            ("startOf(now(), 'week')", "2026-06-29T00:00:00.000Z"),
            ("startOf('2026-08-15', 'quarter')", "2026-07-01T00:00:00.000Z"),
            ("timeBetween('2026-01-01', '2026-01-03T12:00:00Z', 'days')", 2.5),
            ("timeBetween('2026-01-31', '2026-03-01', 'months')", 1),
            ("timeBetween('2026-03-01', '2024-03-02', 'years')", -1),
            ("dateParts(now(), 'Asia/Kolkata').hour", 16),
            ("dateParts(now(), 'Asia/Kolkata').offset", 330),
        ],
    )
    def test_computes(self, source, value):
        assert value_of(source) == value

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("formatDate(now(), 'yyyy', 'Mars/Phobos')", "There is no time zone `Mars/Phobos`"),
            ("formatDate('soon', 'yyyy')", "not `soon`"),
            ("formatDate(null, 'yyyy')", "not null"),
            ("formatDate(now(), 'YYYY')", "The pattern contains the unknown field `YYYY`"),
            ("parseDate('2026-02-30')", "This day or time does not exist"),
            ("parseDate('x', 'dd.MM.yyyy')", "`x` is not written as dd.MM.yyyy"),
            ("addTime(now(), {fortnights: 1})", "The unit `fortnights` is unknown"),
            ("startOf(now(), 'decade')", "The unit `decade` is unknown"),
        ],
    )
    def test_refuses(self, source, words):
        assert words in refused(source)

    def test_a_time_that_clocks_skip_or_show_twice_is_one_moment(self):
        source = "['2026-03-29 02:30', '2026-10-25 02:30'].map(time => parseDate(time, undefined, 'Europe/Oslo'))"
        assert value_of(source) == ["2026-03-29T01:30:00.000Z", "2026-10-25T00:30:00.000Z"]

    @pytest.mark.parametrize("zone", sample((TZDATA / "zones").read_text().split(), 60))
    def test_every_zone_is_as_far_from_utc_as_python_says(self, zone):
        start, step = datetime(1970, 1, 2, tzinfo=UTC), timedelta(days=37, hours=5)
        moments = [start + step * number for number in range(1_260)]  # until 2099
        source = "return input.moments.map(ms => dateParts(ms, input.zone).offset)"
        told = value_of(source, mode="body", moments=[int(moment.timestamp()) * 1_000 for moment in moments], zone=zone)
        with TZDATA.joinpath("zoneinfo", *zone.split("/")).open("rb") as rules:  # the machine may have other ones
            there = ZoneInfo.from_file(rules)
        assert told == [int(moment.astimezone(there).utcoffset().total_seconds()) // 60 for moment in moments]


def test_every_function_of_the_prelude_is_tried_and_documented():
    names = json.loads((GUEST / "names.json").read_text())["prelude"]
    tests, manual = Path(__file__).read_text(), (GUEST.parents[1] / "docs" / "expressions.md").read_text()
    assert [name for name in names if f"{name}(" not in tests] == []
    assert [name for name in names if f"`{name}(" not in manual] == []
