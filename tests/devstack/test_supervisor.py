"""Processes are started in order, kept running, and never left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.stack.processes import descendants, eventually, is_alive

ROOT = Path(__file__).parent.parent.parent
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the dummy stack with the named programs."""
    started: list[subprocess.Popen[str]] = []

    def start_stack(*words: str, ready: bool = True) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.support.stack.dummy_stack", str(tmp_path), *words]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        if ready:
            eventually(lambda: (tmp_path / "ready").exists())
        return process

    yield start_stack
    for process in started:
        process.terminate()
        process.wait(30)
        if process.stdout:
            process.stdout.close()


def pid_of(directory: Path, name: str) -> int:
    eventually(lambda: (directory / f"{name}.pid").exists() and (directory / f"{name}.pid").read_text())
    return int((directory / f"{name}.pid").read_text())


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def events(directory: Path) -> list[str]:
    return (directory / "events").read_text().splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_and_leaves_no_process(start: Start, tmp_path: Path, number: int) -> None:
    stack = start("steady", "parent")
    stack.send_signal(number)
    assert stack.wait(20) == 0
    assert not any(is_alive(pid_of(tmp_path, name)) for name in ("steady", "parent", "child"))


def test_a_killed_program_is_started_again(start: Start, tmp_path: Path) -> None:
    start("steady", "parent")
    first, child = pid_of(tmp_path, "parent"), pid_of(tmp_path, "child")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pid_of(tmp_path, "parent") != first and is_alive(pid_of(tmp_path, "parent")))
    assert not is_alive(child), "what the killed program had started must go with it"
    assert events(tmp_path).count("steady up") == 1


def test_a_killed_supervisor_leaves_no_orphan(start: Start, tmp_path: Path) -> None:
    stack = start("steady", "stubborn")
    stack.kill()
    stack.wait()
    eventually(lambda: not any(is_alive(pid_of(tmp_path, name)) for name in ("steady", "stubborn")))


def test_a_program_that_ignores_the_stop_is_killed(start: Start, tmp_path: Path) -> None:
    stack = start("stubborn")
    stack.terminate()
    output, _ = stack.communicate(timeout=20)
    assert stack.returncode == 0
    assert "stubborn does not stop and is killed." in output
    assert not is_alive(pid_of(tmp_path, "stubborn"))


def test_a_stage_waits_until_the_one_before_is_ready(start: Start, tmp_path: Path) -> None:
    start("2:steady", "0:slow", "1:once")
    assert events(tmp_path) == ["slow up", "once once", "steady up"]


def test_a_program_that_cannot_start_stops_the_stack_and_is_named(start: Start, tmp_path: Path) -> None:
    stack = start("steady", "1:broken", ready=False)
    output, _ = stack.communicate(timeout=20)
    assert stack.returncode == 1
    assert "broken ended with status 3 3 times before it was ready; its reason is above." in output
    assert "broken | I cannot" in output
    assert not is_alive(pid_of(tmp_path, "steady"))


def test_a_log_without_a_reader_stops_the_stack(start: Start, tmp_path: Path) -> None:
    stack = start("steady", "parent")
    assert stack.stdout
    stack.stdout.close()
    os.kill(pid_of(tmp_path, "parent"), signal.SIGKILL)  # so that there is something to say
    eventually(lambda: stack.poll() is not None)
    assert not is_alive(pid_of(tmp_path, "steady"))


def test_a_log_that_is_no_terminal_has_no_control_characters(start: Start) -> None:
    stack = start("colourful")
    stack.terminate()
    output, _ = stack.communicate(timeout=20)
    assert "colourful | red  text" in output


def test_the_supervisor_takes_on_and_reaps_what_a_killed_program_left(start: Start, tmp_path: Path) -> None:
    stack = start("escaping")
    first, child = pid_of(tmp_path, "escaping"), pid_of(tmp_path, "child")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: child in descendants(stack.pid) and parent_of(child) == stack.pid)
    os.kill(child, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{child}").exists())
    assert stack.poll() is None
    eventually(lambda: pid_of(tmp_path, "child") != child)
    os.kill(pid_of(tmp_path, "child"), signal.SIGKILL)  # no supervisor stops what has left its program's group
