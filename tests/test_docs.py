"""The documents lead to what is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from bench.check import BENCHMARKS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
GUIDES = ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md"]
PRODUCTION = ["api", "manage", "models", "sandbox", "tasks", "telemetry", "workers"]
DECISIONS = sorted((ROOT / "docs/adr").glob("0*.md"))


def test_every_benchmark_that_make_knows_is_checked_in_its_short_form() -> None:
    started = set(re.findall(r"-m bench\.(\w+) \$\(ARGS\)", (ROOT / "Makefile").read_text()))
    assert started == set(BENCHMARKS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(document: Path) -> None:
    links = re.findall(r"]\((?!https?:|mailto:|#)([^)#\s]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_decision_is_in_the_index_with_a_status() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    rows = re.findall(r"^\| \[(\d+)\]\(([\w.-]+)\) \| .+ \| (accepted|superseded)[^|]* \|$", index, re.MULTILINE)
    assert [(int(number), name) for number, name, _ in rows] == [(int(path.name[:4]), path.name) for path in DECISIONS]


@pytest.mark.parametrize("name", GUIDES)
def test_modules_that_a_newcomer_is_led_to_are_there(name: str) -> None:
    named = re.findall(r"`([a-z0-9_/]+(?:\.py|/))`", (ROOT / name).read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@cache
def _production_types() -> dict[str, set[str]]:
    """The classes and type aliases of production, with the names of their methods."""
    files = [path for folder in PRODUCTION for path in (ROOT / folder).rglob("*.py")]
    modules = [ast.parse(path.read_text()) for path in files]
    types: dict[str, set[str]] = {}
    for node in (node for module in modules for node in module.body):
        if isinstance(node, ast.ClassDef):
            types[node.name] = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        elif isinstance(node, ast.Assign):
            types |= {target.id: set() for target in node.targets if isinstance(target, ast.Name)}
    return types


@pytest.mark.parametrize("name", GUIDES)
def test_classes_that_a_newcomer_is_led_to_are_there(name: str) -> None:
    text = (ROOT / name).read_text()
    named = re.findall(r"`([A-Z][a-z]\w*)(?:\.([a-z]\w*))?`", text)
    drawn = re.findall(r"[\[{]([A-Z][a-z]+[A-Z]\w*)(?:<br>|[\]}])", text)  # in diagrams
    known = _production_types() | {path.name: set() for path in ROOT.iterdir()}  # such as `Dockerfile`
    assert [(one, method) for one, method in named if one not in known or (method and method not in known[one])] == []
    assert [one for one in drawn if one not in known] == []
