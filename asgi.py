"""The web process as we serve it: the application of `wsgi.py` behind a front, which waits for it (ADR 42)."""

from api.serving.front import Front
from wsgi import app as flask_app

app = Front(flask_app)
