"""Rules of the architecture: messages have tasks, imports have no circles, sizes and names have limits.

`tests/api/contract/test_routes.py` checks that every route is locked unless it is listed as public.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import celery_config
from tasks.queue import ROUTES, QueueName, TaskName

ROOT = Path(__file__).parent.parent
MOST_MODULES = 15  # of a folder, besides `__init__` and `__main__`
LONGEST_FILE, LONGEST_VIEW, LONGEST_TASK, LONGEST_FUNCTION = 300, 10, 20, 30
LONGEST_TEST_NAME = 70
CODE = ("api", "manage", "models", "sandbox", "tasks", "telemetry", "workers", "devstack", "simulators", "bench")
LISTS = {"settings.py:from_env"}  # has one line for each setting


class TestMessages:
    def test_every_task_name_has_a_task_and_every_task_a_name(self):
        celery_config.app.loader.import_default_modules()
        ours = {name for name in celery_config.app.tasks if not name.startswith("celery.")}
        assert ours == set(TaskName)

    def test_every_task_has_a_queue_that_workers_know(self):
        assert set(ROUTES) == set(TaskName)
        assert {queue.name for queue in celery_config.app.conf.task_queues} == set(QueueName)

    def test_flower_lists_what_users_wait_for_and_not_periodic_tasks(self):
        celery_config.app.loader.import_default_modules()
        periodic = {entry["task"] for entry in celery_config.app.conf.beat_schedule.values()} | {TaskName.ECHO}
        silent = {name for name in TaskName if not celery_config.app.tasks[name].send_events}
        assert silent == periodic

    def test_beat_sends_existing_tasks_that_expire_before_the_next(self):
        for entry in celery_config.app.conf.beat_schedule.values():
            assert entry["task"] in set(TaskName)
            assert entry["options"]["expires"] <= entry["schedule"]


def sources() -> list[Path]:
    """All files of production, devstack, simulators and benchmarks."""
    return [*ROOT.glob("*.py"), *(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))]


def length(node: ast.FunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


# Session state stays with a pooler's connection, and would leak to its next client.
SESSION_STATE = {
    "locks of a session": r"pg_(try_)?advisory_(un)?lock",
    "settings of a session": r"set_config\([^)]*false\)|\bSET (SESSION|TIME ZONE|search_path)\b",
    "options of a connection": r"[\"']options[\"']: f?[\"']-c",
    "notifications": r"[\"']\s*(UN)?LISTEN \w",
    "temporary tables": r"CREATE (GLOBAL |LOCAL )?TEMP",
    "prepared statements": r"[\"']\s*(PREPARE|DEALLOCATE|DECLARE) [\w{](?!self\._name\})",
    "days of the session's time zone": r"date_trunc\((?![^\n]*'UTC'\))|AS date\)(?<!CAST\(d AS date\))",
}


@pytest.mark.parametrize("kind", SESSION_STATE)
def test_nothing_relies_on_a_session_of_the_database(kind: str):
    production = [
        path
        for folder in ("api", "manage", "models", "tasks", "workers", "migrations")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in production
        for found in re.finditer(SESSION_STATE[kind], path.read_text())
    ] == []


class TestImports:
    def test_no_modules_import_each_other_in_a_circle(self):
        assert circle_of(import_graph([*sources(), *(ROOT / "tests").rglob("*.py")])) == []

    def test_packages_and_root_modules_import_one_way(self):
        top: dict[str, set[str]] = {}
        for module, imported in import_graph(sources()).items():
            here = module.partition(".")[0]
            top.setdefault(here, set()).update({name.partition(".")[0] for name in imported} - {here})
        assert circle_of(top) == []

    @pytest.mark.parametrize(
        "line", ["import api.auth", "from api import auth", "if TYPE_CHECKING:\n    from api.auth import signed_in"]
    )
    def test_circles_are_found_in_every_form_of_import(self, line):
        graph = {"api.auth": {"api.http"}, "api.http": imported_by(ast.parse(line), {"api", "api.auth", "api.http"})}
        assert set(circle_of(graph)) == {"api.auth", "api.http"}


def import_graph(paths: list[Path]) -> dict[str, set[str]]:
    """The modules that each module imports, anywhere in it; imports for type checkers count too."""
    ours = {module_name(path) for path in paths}
    return {module_name(path): imported_by(ast.parse(path.read_text()), ours) for path in paths}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_by(tree: ast.Module, ours: set[str]) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            submodules = {f"{node.module}.{name.name}" for name in node.names}
            names |= submodules if submodules <= ours else {node.module or "", *submodules}
    return names & ours


def circle_of(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


class TestNames:
    def test_no_two_classes_have_the_same_name(self):
        places = {}
        for path in sources():
            for name in class_names(path):
                places.setdefault(name, []).append(str(path.relative_to(ROOT)))
        assert len(places) > 100
        assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def class_names(path: Path) -> Iterator[str]:
    """The classes of a module, also those in functions; without `Meta`, which marshmallow wants in a schema."""
    tree = ast.parse(path.read_text())
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name != "Meta")


class TestSizes:
    def test_no_file_is_long(self):
        long = {str(path.relative_to(ROOT)): lines for path in sources() if (lines := count(path)) > LONGEST_FILE}
        assert long == {}

    def test_no_folder_has_many_modules(self):
        modules = Counter(path.parent.relative_to(ROOT) for path in sources() if not path.stem.startswith("__"))
        assert {str(folder): number for folder, number in modules.items() if number > MOST_MODULES} == {}

    def test_no_view_no_task_and_no_function_is_long(self):
        long = [
            f"{path.relative_to(ROOT)}:{node.name}"
            for path in sources()
            for node in functions(path)
            if length(node) > longest(node)
        ]
        assert set(long) == LISTS

    def test_no_name_of_a_test_is_long(self):
        names = [node.name for path in (ROOT / "tests").rglob("test_*.py") for node in functions(path)]
        tests = [name for name in names if name.startswith("test_")]
        assert tests
        assert [name for name in tests if len(name) > LONGEST_TEST_NAME] == []


def count(path: Path) -> int:
    return len(path.read_text().splitlines())


def longest(node: ast.FunctionDef) -> int:
    decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    if re.search(r"\bbp\.(get|post|put|delete)\b", decorators):
        return LONGEST_VIEW
    return LONGEST_TASK if ".task(" in decorators else LONGEST_FUNCTION
