"""What the examples of expressions compute, beside the simulated public API."""

import json
from pathlib import Path

import pytest

from models.rules.graph.effects import HttpCall, HttpResponse
from models.rules.lint.lint import lint
from simulators.ai.demo_api import demo
from tests.support.engine.bench import Bench
from tests.support.engine.world import World
from workers.engine.attempts.effect_executor import AttemptContext

EXAMPLES = Path(__file__).parents[4] / "examples"
RESULTS = {
    "8-all-pages": ["Notebook: 6.20", "Compass: 17.00", "Lantern: 24.50", "Kettle: 39.00", "Backpack: 89.90"],
    "9-sales-by-customer": {
        "customers": [
            {"customer": "Anna", "orders": 2, "total": 200, "last": "2026-06-17"},
            {"customer": "Ben", "orders": 1, "total": 35.5, "last": "2026-06-02"},
            {"customer": "Cleo", "orders": 1, "total": 9.9, "last": "2026-06-20"},
        ],
        "total": 245.4,
        "csv": "customer,orders,total,last\nAnna,2,200,2026-06-17\nBen,1,35.5,2026-06-02\nCleo,1,9.9,2026-06-20\n",
    },
    "10-signed-request": {"accepted": True, "order": {"item": "Lantern", "quantity": 2}},
    "11-due-dates": [
        {
            "title": "Send the offer",
            "due": "2026-03-28T17:00:00.000Z",
            "newYork": "Sat, Mar 28 2026 1:00 PM",
            "remind": "2026-03-27T17:00:00.000Z",
            "week": 13,
        },
        {
            "title": "Call back",
            "due": "2026-03-29T16:00:00.000Z",
            "newYork": "Sun, Mar 29 2026 12:00 PM",
            "remind": "2026-03-28T17:00:00.000Z",
            "week": 13,
        },
        {
            "title": "Close the books",
            "due": "2027-01-31T08:30:00.000Z",
            "newYork": "Sun, Jan 31 2027 3:30 AM",
            "remind": "2027-01-30T08:30:00.000Z",
            "week": 4,
        },
    ],
    "12-extract": {
        "found": {
            "orders": [
                {"order": "AB-1042", "prefix": "AB", "number": 1042},
                {"order": "CD-7", "prefix": "CD", "number": 7},
            ],
            "amounts": [49.9, 5],
            "addresses": ["ann@example.com", "bob@example.org"],
            "clean": "Hello, order AB-1042 has not come. I paid 49.90 EUR and 5 EUR for shipping.\n"
            "Order CD-7 was fine. Write to ***@example.com or Bob <***@example.org>.",
        },
        "paid": 54.9,
    },
    "13-merge-profiles": {
        "settings": {"units": "metric", "mail": {"weekly": False, "offers": False}},
        "tags": ["new"],
        "name": "Ann",
        "weather": {"city": "Oslo", "condition": "snow"},
    },
}


class DemoWorld(World):
    """Answers as the simulated public API does."""

    def perform(self, effect: HttpCall, attempt: AttemptContext) -> HttpResponse:
        headers = {name.lower(): value for name, value in effect.headers.items()}
        said = demo(effect.method, effect.url.removeprefix("http://world"), headers, effect.body or b"")
        return HttpResponse(said.status, {}, json.loads(said.body))


def example(name: str) -> dict:
    return json.loads((EXAMPLES / f"{name}.json").read_text().replace("$DEMO_API", "http://world/demo"))


@pytest.mark.parametrize("name", RESULTS)
def test_the_linter_has_nothing_against_an_example(name: str):
    document = example(name)
    assert [finding.message for finding in lint(document).findings] == []


@pytest.mark.parametrize("name", RESULTS)
def test_an_example_computes_what_it_says(name: str, bench: Bench):
    bench.performer = DemoWorld()
    bench.runtime = bench.another()
    document = example(name)
    graph = {"nodes": document["nodes"], "connections": document["connections"]}
    execution_id = bench.submit([], document=graph, value=document["exampleInput"])
    bench.runtime.drive(execution_id)
    run = bench.execution(execution_id)
    assert (run.status, run.error) == ("success", None)
    assert run.output == RESULTS[name]
