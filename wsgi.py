"""Composition root of the web process: settings, logs, database, broker and the Flask application.

Any WSGI server can serve `app`, with a thread for each client that waits; `asgi.py` serves it without.
"""

from functools import partial

import logs
import threads
from api import create_app
from api.ops import metrics
from models.db import connect
from settings import process_settings
from tasks import publisher
from telemetry import tracing

settings = process_settings()
logs.configure(settings.log_format, level=settings.log_level)
threads.report_unhandled()
connect(settings.database_url, pool_size=20)  # more than requests work at a time, so that none is opened for one use
publisher.install(settings)
app = create_app(settings)
if settings.trace_endpoint:
    app.extensions["start_tracing"] = partial(  # once forked, because a thread sends the spans
        tracing.start, "api", settings.trace_endpoint, settings.trace_headers
    )
app.extensions["serve_metrics"] = partial(metrics.serve, app)  # once the server has its processes
