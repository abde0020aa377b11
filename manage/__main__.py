"""`python -m manage`, which is `agentforge` in the container image."""

from manage.cli import cli

if __name__ == "__main__":
    cli(prog_name="agentforge")
