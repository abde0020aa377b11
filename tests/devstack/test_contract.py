"""The contract may not change silently, and what is generated from it leaves nothing out."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from devstack.description.collection import collection
from devstack.description.contract import CHANGELOG, DESCRIPTION, ROOT, ContractBroken, check, write

SAYS = "Runs say why they wait."


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A checkout whose contract is in order."""
    (tmp_path / "docs").mkdir()
    (tmp_path / CHANGELOG).write_text("# Changes\n\n")
    write(tmp_path, "{}\n", "The first one.")
    return tmp_path


class TestTheContract:
    def test_is_in_order_once_it_is_written_with_a_sentence(self, kept):
        check(kept, "{}\n", [(kept / CHANGELOG).read_text()])

    def test_does_not_change_in_code_alone(self, kept):
        with pytest.raises(ContractBroken, match="differs from what the code generates"):
            check(kept, '{"openapi": 1}\n', [])

    def test_does_not_change_without_a_line_in_the_changelog(self, kept):
        (kept / DESCRIPTION).write_text('{"openapi": 1}\n')
        with pytest.raises(ContractBroken, match="has no line for"):
            check(kept, '{"openapi": 1}\n', [])
        with pytest.raises(ContractBroken, match="SAYS="):
            write(kept, '{"openapi": 2}\n', "")
        assert (kept / DESCRIPTION).read_text() == '{"openapi": 1}\n'

    def test_keeps_every_line_newest_first(self, kept):
        write(kept, '{"openapi": 1}\n', SAYS)
        lines = [line for line in (kept / CHANGELOG).read_text().splitlines() if line.startswith("- ")]
        assert [line.partition(": ")[2] for line in lines] == [SAYS, "The first one."]
        check(kept, '{"openapi": 1}\n', [])

    def test_fails_for_a_rewritten_line(self, kept):
        before = (kept / CHANGELOG).read_text()
        (kept / CHANGELOG).write_text("# Changes\n\n")
        write(kept, '{"openapi": 1}\n', SAYS)
        with pytest.raises(ContractBroken, match="has lost"):
            check(kept, '{"openapi": 1}\n', [before])

    def test_writing_what_is_there_adds_nothing(self, kept):
        before = (kept / CHANGELOG).read_text()
        write(kept, "{}\n", SAYS)
        assert (kept / CHANGELOG).read_text() == before


class TestTheCollection:
    def test_has_every_operation_with_a_body_that_may_be_sent(self):
        document = json.loads((ROOT / DESCRIPTION).read_text())
        folders = collection(document, "https://api.test")["item"]
        items = {item["id"]: item["request"] for folder in folders for item in folder["item"]}
        operations = {
            operation["operationId"]: operation
            for methods in document["paths"].values()
            for operation in methods.values()
        }
        assert items.keys() == operations.keys()
        for name, operation in operations.items():
            for said in operation.get("requestBody", {}).get("content", {}).values():
                schema = {**said["schema"], "components": document["components"]}
                jsonschema_rs.validate(schema, json.loads(items[name]["body"]["raw"]), validate_formats=True)
            assert ("auth" in items[name]) is (operation["security"] == []), name

    def test_names_what_stands_in_an_address(self):
        (workflows,) = (
            f
            for f in collection(json.loads((ROOT / DESCRIPTION).read_text()), "https://api.test")["item"]
            if f["name"] == "workflows"
        )
        (execute,) = (item["request"]["url"] for item in workflows["item"] if item["id"] == "workflows_execute")
        assert execute["raw"] == "{{baseUrl}}/workflows/:workflowId/execute"
        assert [variable["key"] for variable in execute["variable"]] == ["workflowId"]


def test_the_committed_description_is_in_the_changelog():
    assert (ROOT / CHANGELOG).read_text().count("\n- `") > 0
    assert json.loads((ROOT / DESCRIPTION).read_text())["openapi"].startswith("3.1")
