"""The example of docs/howto/add-a-provider.md, installed beside us as anybody's package: it passes the whole suite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "howto" / "pigeon-post"


def installed(folder: Path) -> dict[str, str]:
    """The environment of a process that finds the package, as an installer lays it down."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    for module in project["tool"]["setuptools"]["py-modules"]:
        shutil.copy(EXAMPLE / f"{module}.py", folder)
    name, version = project["project"]["name"], project["project"]["version"]
    told = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        line
        for group, points in project["project"]["entry-points"].items()
        for line in (f"[{group}]", *(f"{point} = {target}" for point, target in points.items()))
    ]
    (told / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_package_of_others_adds_a_kind(tmp_path: Path) -> None:
    program = (
        "from providers import registry; k = registry.kind('pigeon'); print(k.title, k in registry.kinds())"
    )
    assert run(installed(tmp_path), "-c", program) == "Pigeon Post True\n"


def test_it_passes_the_contract_suite(tmp_path: Path) -> None:
    suite = "tests/contract/test_every_provider.py"
    said = run(installed(tmp_path), "-m", "pytest", "-q", "-p", "no:cacheprovider", suite, "-k", "pigeon")
    passed = int(said.split(" passed")[0].split()[-1])
    assert passed > 30
    assert "failed" not in said
