"""`python -m api` prints the OpenAPI description. It needs no server, no database and no settings."""

import json
import sys

from api import create_app
from api.openapi.document import Document
from settings import Settings


def text() -> str:
    """The description as it is committed: with sorted keys, so that a change is a diff of few lines."""
    app = create_app(Settings.from_env({"AGENTFORGE_ENV": "test"}))
    return json.dumps(Document(app).content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
