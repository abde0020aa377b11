"""Log lines are always written: logging never fails the work."""

import json
import logging
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID

import pytest
import structlog

import logs
from models.rules.prices.pricing import Provider

CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({Provider.OPENAI: 1}, {"openai": 1}),
        ({UUID(int=7): 1}, {str(UUID(int=7)): 1}),
        (Decimal("1.10"), "1.10"),
        (2**70, 2**70),
        ("\ud800", "\ud800"),
    ],
)
def test_values_of_every_type_are_written(value, written):
    assert json.loads(logs._dumps({"event": "x", "value": value}, str)) == {"event": "x", "value": written}


@pytest.mark.parametrize("value", [{(1, 2): 2**70}, CIRCLE])
def test_what_json_cannot_say_is_described(value):
    assert json.loads(logs._dumps({"event": "x", "value": value}, str)) == {"event": "x", "value": repr(value)}


@contextmanager
def configured(log_format):
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    logs.configure(log_format)
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


FORGED = "\n2026-01-01 00:00:00 [info     ] auth.login   user=admin"


class TestConsoleLines:
    """User input cannot forge lines of the console log."""

    @pytest.fixture(autouse=True)
    def console(self, capsys):
        with configured("console"):
            yield

    @pytest.mark.parametrize(
        "event",
        [
            {"event": "auth.failed" + FORGED},
            {"event": "auth.failed", "email": "a@b.c" + FORGED},
            {"event": "auth.failed", "key" + FORGED: 1},
            {"event": "auth.failed", "nested": {"key" + FORGED: ["x" + FORGED]}},
            {"event": "auth.failed", "terminal": "\x1b[2J\r\x85\u2028\u202e"},
        ],
    )
    def test_are_not_forged_by_what_an_event_says(self, capsys, event):
        structlog.get_logger().info(**event)
        written = capsys.readouterr().out
        assert len(written.splitlines()) == 1
        assert written.rstrip("\n").isprintable()

    def test_are_not_forged_by_what_libraries_say(self, capsys):
        logs.configure("console")  # here, because pytest hangs handlers of its own before each phase of a test
        logging.getLogger("a.library").warning("no such user %s", "a@b.c" + FORGED)
        assert len(capsys.readouterr().out.splitlines()) == 1

    def test_are_not_forged_by_an_error(self, capsys):
        try:
            raise ValueError("bad" + FORGED)
        except ValueError:
            structlog.get_logger().exception("task.failed")
        first, *others = capsys.readouterr().out.splitlines()
        assert "task.failed" in first
        assert others
        assert all(line.startswith("    ") for line in others)


ADA = "ada+x.y@mail.example.com"


@pytest.mark.parametrize("log_format", ["json", "console"])
class TestAddresses:
    """No log line contains a user's e-mail address."""

    @pytest.fixture(autouse=True)
    def _log(self, capsys, log_format):
        with configured(log_format):
            yield

    @pytest.mark.parametrize(
        "values",
        [
            {"email": ADA},
            {ADA: 1},
            {"nested": [{"to": (ADA, {"x": {ADA}})}]},
            {"cause": f"Key (lower(email))=({ADA}) already exists.\n{ADA}"},
            {"path": "/v1/customers/search?query=email:%27ada%2Bx.y%40mail.example.com%27"},
            {"error": ValueError(f"no such customer: <{ADA}>")},
            {"text": f"\n{ADA}", "number": Decimal("1.5"), "huge": 2**70, "circle": CIRCLE},
            {"address": "ада@почта.example"},
        ],
    )
    def test_are_in_no_event(self, capsys, values):
        structlog.get_logger().warning(f"mail.refused {ADA}", other="kept", **values)
        written = capsys.readouterr().out
        assert "mail.example.com" not in written
        assert "почта" not in written
        assert "kept" in written
        assert "[address]" in written

    def test_are_in_no_line_of_a_library(self, capsys, log_format):
        logs.configure(log_format)
        logging.getLogger("stripe").warning("Request to Stripe api path=/v1/customers?email=%s", ADA)
        assert ADA not in (written := capsys.readouterr().out)
        assert "Request to Stripe" in written

    def test_are_in_no_traceback(self, capsys):
        try:
            raise ValueError(f"{ADA} is taken")
        except ValueError:
            structlog.get_logger().exception("task.failed")
        assert ADA not in (written := capsys.readouterr().out)
        assert "ValueError" in written

    def test_of_workers_are_their_names(self, capsys, monkeypatch):
        monkeypatch.setattr(logs, "_HOST", "host.example.com")
        structlog.get_logger().info("worker.ready", name="executions1@host.example.com")
        assert "executions1@host.example.com" in capsys.readouterr().out

    def test_of_servers_are_shown(self, capsys):
        structlog.get_logger().info("connected", at="redis://:**@127.0.0.1:6379", host="amqp://me:**@mq.example.com")
        assert "[address]" not in capsys.readouterr().out

    def test_that_are_gone_leave_a_line_that_can_be_read(self, capsys, log_format):
        structlog.get_logger().info("x", text=f'"\n{ADA}\\{ADA}')
        written = capsys.readouterr().out
        assert log_format == "console" or json.loads(written)["text"] == '"\n[address]\\[address]'
