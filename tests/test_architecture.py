"""The house keeps its promises: every message has a taker, and nothing is long.

That every route is locked unless listed is promised in `tests/api/test_doors.py`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import celery_config
from tasks.queue import ROUTES, QueueName, TaskName

ROOT = Path(__file__).parent.parent
LONGEST_FILE, LONGEST_VIEW, LONGEST_TASK, LONGEST_FUNCTION = 300, 10, 20, 30
CODE = ("api", "models", "tasks", "workers", "devstack", "bench")
LISTS = {"settings.py:from_env"}  # one line for each setting there is


class TestMessages:
    def test_every_task_name_has_a_task_and_every_task_a_name(self):
        celery_config.app.loader.import_default_modules()
        ours = {name for name in celery_config.app.tasks if not name.startswith("celery.")}
        assert ours == set(TaskName)

    def test_every_task_has_a_queue_that_workers_know(self):
        assert set(ROUTES) == set(TaskName)
        assert {queue.name for queue in celery_config.app.conf.task_queues} == set(QueueName)

    def test_what_beat_sends_exists_and_never_piles_up(self):
        for entry in celery_config.app.conf.beat_schedule.values():
            assert entry["task"] in set(TaskName)
            assert entry["options"]["expires"] <= entry["schedule"]


def sources() -> list[Path]:
    """Every file of ours that ships."""
    return [*ROOT.glob("*.py"), *(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))]


def length(node: ast.FunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


class TestSizes:
    def test_no_file_is_long(self):
        long = {str(path.relative_to(ROOT)): lines for path in sources() if (lines := count(path)) > LONGEST_FILE}
        assert long == {}

    def test_no_view_no_task_and_no_function_is_long(self):
        long = [
            f"{path.relative_to(ROOT)}:{node.name}"
            for path in sources()
            for node in functions(path)
            if length(node) > longest(node)
        ]
        assert set(long) == LISTS


def count(path: Path) -> int:
    return len(path.read_text().splitlines())


def longest(node: ast.FunctionDef) -> int:
    decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    if re.search(r"\bbp\.(get|post|put|delete)\b", decorators):
        return LONGEST_VIEW
    return LONGEST_TASK if ".task(" in decorators else LONGEST_FUNCTION
