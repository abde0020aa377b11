"""Draw numbers of `make bench ARGS="--json FILE"`: `python -m bench.plot BEFORE AFTER >docs/performance.svg`.

For each graph one group of bars, CPU of the workers for one node: the bare engine, ours before, ours after.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import orjson

SCALE, ROW, LEFT, MARGIN = 110, 15, 200, 24  # pixels for one millisecond, for one bar, for the names, around groups
COLOURS = {"bare": "#9aa0a6", "before": "#e8a33d", "after": "#2f6fde"}

Bars = dict[str, dict[str, float]]


def main() -> None:
    """Write the SVG to standard output."""
    before, after = (orjson.loads(Path(name).read_bytes()) for name in sys.argv[1:3])
    bars = {
        graph: {
            "bare": after[graph]["bare"]["cpu_ms_per_node"],
            "before": before[graph]["ours"]["cpu_ms_per_node"],
            "after": after[graph]["ours"]["cpu_ms_per_node"],
        }
        for graph in after
        if graph != "in_flight"
    }
    print("\n".join(svg(bars)))


def svg(bars: Bars) -> Iterator[str]:
    """The lines of the drawing."""
    group = len(COLOURS) * ROW + MARGIN
    height = len(bars) * group + MARGIN
    width = LEFT + int(SCALE * max(max(values.values()) for values in bars.values())) + 110
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    yield f'<text x="{LEFT}" y="16" font-size="12">CPU of the workers, ms for one node</text>'
    for number, (graph, values) in enumerate(bars.items()):
        top = MARGIN + number * group
        yield f'<text x="{LEFT - 8}" y="{top + 28}" font-size="12" text-anchor="end">{graph}</text>'
        for row, (engine, value) in enumerate(values.items()):
            y, length = top + row * ROW, value * SCALE
            yield f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{ROW - 3}" fill="{COLOURS[engine]}"/>'
            yield f'<text x="{LEFT + length + 5:.0f}" y="{y + 10}" font-size="10">{engine} {value:.2f}</text>'
    yield "</svg>"


if __name__ == "__main__":
    main()
