"""`python -m devstack.clients`: generates what others call the API with, from its description, and tries it out.

In build/clients: a typed Python package, and a Postman collection. The package is installed in an environment of its
own, the types of examples/use_client.py are checked with it, and that example runs a workflow on a stack of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from api.openapi.__main__ import text
from devstack import control
from devstack.collection import collection
from devstack.ports import free_port

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "clients"
EXAMPLE = ROOT / "examples" / "use_client.py"
UV = [sys.executable, "-m", "uv"]
GENERATOR = "openapi-python-client==0.29.1"  # in an environment of its own: it wants other versions than we do
MYPY = f"mypy=={version('mypy')}"
NAMES = {"project_name_override": "agentforge-client", "package_name_override": "agentforge_client"}
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
    """The Python package; a warning of the generator means that something of the API would be missing."""
    package = BUILD / "python"
    config = BUILD / "generator.json"
    config.write_text(json.dumps(NAMES))
    tool = [*UV, "tool", "run", "--from", GENERATOR, "openapi-python-client", "generate", "--fail-on-warning"]
    done([*tool, "--path", str(description), "--config", str(config), "--output-path", str(package), "--overwrite"])
    return package


def run_example(command: list[str], directory: Path) -> None:
    """Start a stack for the example, and stop it whatever comes of it."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env |= {"PORT": str(free_port(0)), "FLOWER_PORT": str(free_port(0))}
    try:
        stack = control.ensure_up(directory, env)
        done([*command, "python", str(EXAMPLE), stack.addresses["api"]])
    finally:
        control.stop(directory)


def done(command: list[str]) -> None:
    """Run it to its end; what it says is shown."""
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
