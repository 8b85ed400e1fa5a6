"""Groups of settings, read from the environment: everything at once, each wrong variable named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError


class SettingsError(ValueError):
    """Settings that cannot be used. `problems` maps each variable to what is wrong with it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        lines = "\n".join(f"  {name}: {problem}" for name, problem in self.problems.items())
        super().__init__(f"The settings cannot be used:\n{lines}")


class Group(BaseModel):
    model_config = ConfigDict(
        frozen=True, arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True
    )


class FromEnvironment(Group):
    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read and check everything at once.

        Raises SettingsError that names each variable which is missing, unreadable or wrong.
        """
        problems: dict[str, str] = {}
        values = _read(cls, environ, problems)
        cls.complete(values)
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                name = _variable(cls, detail["loc"])
                if f"{name}_FILE" not in problems:
                    problems.setdefault(name, _sentence(detail["type"], detail["msg"]))
        else:
            problems = problems | settings.contradictions()
            if not problems:
                return settings
        raise SettingsError(problems)

    @classmethod
    def complete(cls, values: dict[str, Any]) -> None:
        """Add what the environment leaves open and can be found elsewhere."""

    def contradictions(self) -> dict[str, str]:
        """Values that are right alone but not together."""
        return {}


def _read(model: type[BaseModel], environ: Mapping[str, str], problems: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for env, (path, _, _) in variables(model).items():
        value = _read_variable(env, environ, problems)
        if value is None:
            continue
        group, _, name = path.rpartition(".")
        target = values.setdefault(group, {}) if group else values
        target[name] = value
    return values


def _read_variable(env: str, environ: Mapping[str, str], problems: dict[str, str]) -> str | None:
    value, file = environ.get(env, "").strip(), environ.get(f"{env}_FILE", "").strip()
    if value and file:
        problems[env] = f"is given twice: as {env} and as {env}_FILE"
    elif file:
        try:
            value = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            problems[f"{env}_FILE"] = f"cannot be read: {getattr(error, 'strerror', None) or 'not a text'}"
    return value or None


def _variable(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    wanted = ".".join(str(part) for part in location)
    for env, (path, _, _) in variables(model).items():
        if wanted == path or wanted.startswith(f"{path}."):
            return env
    return wanted


def _sentence(kind: str, message: str) -> str:
    if kind == "missing":
        return "is not set, and no `mailmux up` runs in the data directory (MAILMUX_DATA_DIR)"
    return message.removeprefix("Value error, ").replace("Input should", "should")


def variables(model: type[BaseModel]) -> dict[str, tuple[str, Any, str]]:
    """Each variable with the dotted name of its field, its default and its meaning, in order."""
    found: dict[str, tuple[str, Any, str]] = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict):
            found[str(extra["env"])] = (name, field.default, field.description or "")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = variables(field.annotation)
            found |= {env: (f"{name}.{path}", *rest) for env, (path, *rest) in inner.items()}
    return found
