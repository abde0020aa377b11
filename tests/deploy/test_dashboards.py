"""The committed dashboards are those that the code makes, one for each subject."""

import json

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from devstack.dashboards import DASHBOARDS, FOLDER, made


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_a_dashboard_is_current(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == made(name), "python -m devstack.dashboards write"
    panels = json.loads(made(name))["panels"]
    assert [panel["title"] for panel in panels] == [chart.title for chart in DASHBOARDS[name]]
    assert all(panel["datasource"]["uid"] == "prometheus" for panel in panels)


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_a_dashboard_fits_the_models_of_grafana(name: str) -> None:
    """Nothing in it is unknown to them; panels have ids for links, stay within 24 columns, and none covers another."""
    document = json.loads((FOLDER / f"{name}.json").read_text())
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(document))) == document
    assert len(document["uid"]) <= 40
    panels = document["panels"]
    assert sorted(panel["id"] for panel in panels) == list(range(1, len(panels) + 1))
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(column, row) for column in columns for row in rows}
        assert max(columns) < 24
        assert not cells & covered
        covered |= cells
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])


def test_there_is_no_other_dashboard() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DASHBOARDS)
