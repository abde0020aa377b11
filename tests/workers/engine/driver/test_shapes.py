"""Every shape of a real workflow passes the linter and runs through the engine as the plain rules say."""

import pytest

from models.rules.graph.graph import parse
from models.rules.lint.lint import lint
from tests.support.engine.acyclic_shapes import SHAPES, Shape, acyclic_shapes
from tests.support.engine.bench import Bench
from tests.support.engine.reference_schedule import interpret
from tests.support.thorough import sample

pytestmark = [
    pytest.mark.skipif(not SHAPES.exists(), reason="the shapes are not on this machine"),
    pytest.mark.thorough,
]


def expected_runs(shape: Shape) -> dict[str, int]:
    graph = parse(shape.document)
    chosen = {node.id: "true" if node.type == "decision" else None for node in graph.nodes.values()}
    return interpret(graph, chosen, set(), {})


def test_every_acyclic_shape_is_valid_and_runs_each_node_as_often_as_due(bench: Bench):
    shapes = list(acyclic_shapes())
    assert len(shapes) > 150
    for shape in sample(shapes, 30):
        assert [finding for finding in lint(shape.document).findings if finding.severity == "error"] == [], shape.name
        if shape.size > 200:
            continue  # the plain rules take quadratic time; large ones have their own test
        run = bench.run([], cap=300, document=shape.document)
        assert run.status == "success", (shape.name, run.error)
        ran = {name: int(row.status == "success") for name, row in bench.nodes(run.id).items()}
        assert ran == expected_runs(shape), shape.name


def test_the_largest_shapes_run_every_node_once(bench: Bench):
    large = [shape for shape in acyclic_shapes() if shape.size > 200]
    assert large
    for shape in sample(large, 2):
        run = bench.run([], cap=300, document=shape.document)
        assert (run.status, run.nodes_executed) == ("success", shape.size), shape.name
