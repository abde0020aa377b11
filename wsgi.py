"""Composition root of the web process: settings, logs, database, broker, application."""

import celery_config
import logs
from api import create_app
from models.db import connect

settings = celery_config.settings  # importing it also connected the doorbells to the broker
logs.configure(settings.log_format)
connect(settings.database_url)
app = create_app(settings)
