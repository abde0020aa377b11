"""The API of production with hooks for faults.

The hooks are `publishing`, between a commit and its message, and `thread-NAME` in each long-lived thread.
"""

from socketserver import BaseServer

import tasks.queue
from api.live.change_notifier import ChangeNotifier
from asgi import app
from tests.support.faults.hooks import around, in_thread

__all__ = ["app"]

tasks.queue.publish = around(tasks.queue.publish, before="publishing")
ChangeNotifier._dispatch = in_thread("change-receiver", ChangeNotifier._dispatch)
ChangeNotifier._wake_outdated = in_thread("change-poller", ChangeNotifier._wake_outdated)
ChangeNotifier._close_signed_out = in_thread("credential-checker", ChangeNotifier._close_signed_out)
BaseServer.service_actions = in_thread("metrics", BaseServer.service_actions)
