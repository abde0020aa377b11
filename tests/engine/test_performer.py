"""How effects are named on their way out."""

from uuid import UUID

import pytest

from models.rules.schedule import Step
from workers.engine.performer import Attempt
from workers.gateways.base import Cancel

EXECUTION = UUID("00000000-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("node_id", "named"), [("a-1", "a-1"), ("шаг→1", "%D1%88%D0%B0%D0%B3%E2%86%921"), ("a:b", "a%3Ab")]
)
def test_a_key_fits_into_a_header_whatever_the_node_is_called(node_id: str, named: str) -> None:
    attempt = Attempt(EXECUTION, EXECUTION, Step(node_id, "3.0"), 1, Cancel(), lambda _: None, lambda *_: None)
    assert attempt.key == f"af:{EXECUTION}:{named}:3.0"
    assert attempt.key.isascii()
