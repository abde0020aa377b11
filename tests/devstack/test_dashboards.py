"""The committed dashboards are those that the code makes, one for each subject."""

import json

import pytest

from devstack.dashboards import DASHBOARDS, FOLDER, made


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_a_dashboard_is_current(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == made(name), "python -m devstack.dashboards write"
    panels = json.loads(made(name))["panels"]
    assert [panel["title"] for panel in panels] == [chart.title for chart in DASHBOARDS[name]]
    assert all(panel["datasource"]["uid"] == "prometheus" for panel in panels)


def test_there_is_no_other_dashboard() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DASHBOARDS)
