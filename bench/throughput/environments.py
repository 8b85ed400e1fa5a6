"""The peers have environments of their own, made once and kept in a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

DJANGO = ("django==5.2.8", "django-post-office==3.12.0", "psycopg2-binary==2.9.13")
NODEMAILER = "nodemailer@10.6.0"
_SHARED = ("celery", "kombu", "redis", "flask", "granian", "psycopg2-binary", "requests")


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "mailmux-bench"


def django_python() -> Path:
    """The interpreter of an environment with django-post-office. Raises CalledProcessError where it cannot be made."""
    return _python("post-office", DJANGO)


def celery_python() -> Path:
    """The interpreter of an environment with Celery and Flask and nothing of ours, in the versions that we use."""
    return _python("celery", tuple(f"{name}=={version(name)}" for name in _SHARED))


def _python(name: str, packages: tuple[str, ...]) -> Path:
    folder = cache() / name
    python, done = folder / "bin" / "python", folder / "made-of"
    made_of = " ".join((sys.version, *packages))
    if not done.is_file() or done.read_text() != made_of:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run(install, check=True, capture_output=True)
        done.write_text(made_of)
    return python


def node_modules() -> Path | None:
    """A folder with nodemailer; None where there is no Node.js."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    folder = cache() / "nodemailer"
    if not (folder / "node_modules" / "nodemailer").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        install = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(folder),
            NODEMAILER,
        ]
        subprocess.run(install, check=True, capture_output=True)
    return folder / "node_modules"
