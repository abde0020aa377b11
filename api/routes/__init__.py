"""One module per resource; their views are found here and nowhere else."""

from flask import Flask

from api.routes import auth, credits, executions, health, templates, usage, workflows


def init_app(app: Flask) -> None:
    """Put every resource at its place in the one URL map."""
    app.register_blueprint(health.blueprint(app.extensions["settings"]))
    for module in (auth, workflows, executions, templates, credits, usage):
        app.register_blueprint(module.bp)
