"""The engine of `tests.support.engine.bench` for every test below."""

from tests.support.engine.bench import bench

__all__ = ["bench"]
