"""`make` does not touch what belongs to other users."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_venv_that_is_a_link_is_never_emptied(tmp_path: Path) -> None:
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    checkout.mkdir()
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("mine")
    shutil.copy(ROOT / "Makefile", checkout)
    for name in ("requirements-dev.txt", "requirements-node.txt"):
        (checkout / name).write_text("")
    (checkout / ".venv").symlink_to(elsewhere)
    made = subprocess.run(["make", "venv"], cwd=checkout, capture_output=True, text=True, check=False)
    assert made.returncode != 0
    assert "is a link" in made.stdout
    assert [path.name for path in elsewhere.iterdir()] == ["thesis.txt"]
