"""The API of production with hooks for faults.

The hooks are `publishing`, between a commit and its message, and `thread-NAME` in each long-lived thread.
"""

from socketserver import BaseServer

import tasks.queue
from api.live.change_notifier import ChangeNotifier
from api.live.disconnects import Disconnects
from tests.support.faults.hooks import around, in_thread
from wsgi import app

__all__ = ["app"]

tasks.queue.publish = around(tasks.queue.publish, before="publishing")
ChangeNotifier._dispatch = in_thread("change-receiver", ChangeNotifier._dispatch)
ChangeNotifier._wake_outdated = in_thread("change-poller", ChangeNotifier._wake_outdated)
ChangeNotifier._close_signed_out = in_thread("credential-checker", ChangeNotifier._close_signed_out)
Disconnects.poll = in_thread("disconnect-watcher", Disconnects.poll)
BaseServer.service_actions = in_thread("metrics", BaseServer.service_actions)
