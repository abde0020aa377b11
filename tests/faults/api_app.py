"""The API of production with one point to interfere at: `ringing`, between a commit and its doorbell."""

import tasks.queue
from tests.faults.hooks import around
from wsgi import app

__all__ = ["app"]

tasks.queue.publish = around(tasks.queue.publish, before="ringing")
