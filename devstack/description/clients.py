"""`python -m devstack.description.clients`: generate API clients from the OpenAPI description, and test them.

build/clients gets a typed Python package and a Postman collection. The package is installed in a separate environment,
examples/use_client.py is type-checked with it, and that example runs a workflow on a separate stack.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from api.__main__ import text
from devstack import control
from devstack.description.collection import collection

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "clients"
EXAMPLE = ROOT / "examples" / "use_client.py"
UV = [sys.executable, "-m", "uv"]
GENERATOR = "openapi-python-client==0.29.1"  # in a separate environment: it needs other versions than we do
MYPY = f"mypy=={version('mypy')}"
NAMES = {"project_name_override": "agentforge-client", "package_name_override": "agentforge_client"}
BINARY = {"application/zip": "application/octet-stream"}  # the media type that the generator maps to bytes
PUBLIC_URL = "https://api.agentforge.io"


def main() -> None:
    """Generate both, then check and run the example."""
    BUILD.mkdir(parents=True, exist_ok=True)
    description = BUILD / "openapi.json"
    description.write_text(text())
    postman = collection(json.loads(description.read_text()), PUBLIC_URL)
    (BUILD / "agentforge.postman_collection.json").write_text(json.dumps(postman, indent=1, ensure_ascii=False))
    package = generate(description)
    with_package = [*UV, "run", "--no-project", "--isolated", "--python", sys.executable, "--with", str(package)]
    done([*with_package, "--with", MYPY, "mypy", "--strict", "--cache-dir", os.devnull, str(EXAMPLE)])
    with tempfile.TemporaryDirectory(prefix="agentforge-clients-") as directory:
        run_example(with_package, Path(directory))
    sys.stdout.write(f"The clients are in {BUILD.relative_to(ROOT)}.\n")


def generate(description: Path) -> Path:
    """Generate the Python package; a warning of the generator fails, because a part of the API would be missing."""
    package = BUILD / "python"
    config = BUILD / "generator.json"
    config.write_text(json.dumps(NAMES | {"content_type_overrides": BINARY}))
    tool = [*UV, "tool", "run", "--from", GENERATOR, "openapi-python-client", "generate", "--fail-on-warning"]
    done([*tool, "--path", str(description), "--config", str(config), "--output-path", str(package), "--overwrite"])
    return package


def run_example(command: list[str], directory: Path) -> None:
    """Start a stack for the example, and stop it in any case."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env |= {"PORT": "0", "FLOWER_PORT": "0"}
    try:
        stack = control.ensure_up(directory, env)
        done([*command, "python", str(EXAMPLE), stack.addresses["api"], stack.addresses["mail"]])
    finally:
        control.stop(directory)


def done(command: list[str]) -> None:
    """Run a command to its end; its output is shown."""
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
