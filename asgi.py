"""Composition root of the web process: settings, logs, database, broker, application, and its front."""

from functools import partial

import logs
import threads
from api import create_app
from api.ops import metrics
from api.serving.front import Front
from models.db import connect
from settings import process_settings
from tasks import publisher
from telemetry import tracing

settings = process_settings()
logs.configure(settings.log_format, level=settings.log_level)
threads.report_unhandled()
connect(settings.database_url)
publisher.install(settings)
flask_app = create_app(settings)
if settings.trace_endpoint:
    flask_app.extensions["start_tracing"] = partial(  # once forked, because a thread sends the spans
        tracing.start, "api", settings.trace_endpoint, settings.trace_headers
    )
flask_app.extensions["serve_metrics"] = partial(metrics.serve, flask_app)  # once the server has its processes
app = Front(flask_app)
