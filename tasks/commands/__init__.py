"""Command lines for operators: `python -m tasks.commands.NAME`."""
