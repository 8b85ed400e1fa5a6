"""The kinds of provider there are: an explicit table, and what others add by the entry point `mailmux.providers`.

An entry point names a `ProviderKind` (or a function that returns one). Ours win where names collide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from domain.capabilities import Capabilities
from domain.ports import Provider, WebhookReceiver
from providers import (
    brevo,
    mailersend,
    mailgun,
    mailjet,
    mailtrap,
    memory,
    postmark,
    resend,
    sendgrid,
    ses,
    smtp,
    smtp_presets,
    sparkpost,
)
from providers.origins import PLAIN_HTTP
from providers.world import Timeouts, World

__all__ = ["KINDS", "InvalidSettings", "Problem", "ProviderKind", "Timeouts", "UnknownKind", "World"]

ENTRY_POINTS = "mailmux.providers"

Settings = TypeVar("Settings", bound=BaseModel)
Secrets = TypeVar("Secrets", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong field: `path` like `config.host` or `credentials.api_key`. `message` never quotes the value."""

    path: str
    message: str


class InvalidSettings(ValueError):
    """Settings or credentials that do not fit the kind; all problems at once."""

    def __init__(self, kind: str, problems: Iterable[Problem]) -> None:
        self.kind, self.problems = kind, tuple(problems)
        super().__init__(f"{kind}: " + "; ".join(f"{p.path}: {p.message}" for p in self.problems))


class UnknownKind(KeyError):
    """No provider of that kind is known here."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name, self.known = name, tuple(known)
        super().__init__(name)

    def __str__(self) -> str:
        return f"no provider kind {self.name!r}; known: {', '.join(self.known)}"


def _agree(_config: Any, _credentials: Any) -> Iterable[tuple[str, str]]:
    return ()


@dataclass(frozen=True, slots=True)
class ProviderKind(Generic[Settings, Secrets]):
    """`Config` holds what may be shown, `Credentials` only what may not (SecretStr). Both forbid unknown fields.

    `build` opens no connection. `capabilities` needs no credentials, so that a chooser can ask it.
    `disagreements` yields (path, message) where the two do not go together. `webhook` builds the receiver of
    events from the secrets of an account; None: a provider that tells nothing later.
    """

    name: str
    title: str
    Config: type[Settings]
    Credentials: type[Secrets]
    build: Callable[[str, Settings, Secrets, World], Provider]
    capabilities: Callable[[Settings], Capabilities]
    disagreements: Callable[[Settings, Secrets], Iterable[tuple[str, str]]] = _agree
    WebhookSecret: type[BaseModel] | None = None
    webhook: Callable[[str, Settings, Sequence[Any], World], WebhookReceiver] | None = None


def _of(name: str, title: str, module: Any) -> ProviderKind[Any, Any]:
    disagreements = getattr(module, "disagreements", _agree)
    return ProviderKind(
        name,
        title,
        module.Config,
        module.Credentials,
        module.build,
        module.capabilities,
        disagreements,
        getattr(module, "WebhookSecret", None),
        getattr(module, "webhook", None),
    )


def _preset(name: str, title: str, config: type[smtp.Config]) -> ProviderKind[Any, Any]:
    return ProviderKind(
        name, title, config, smtp.Credentials, smtp.build, smtp.capabilities, smtp_presets.disagreements
    )


KINDS: dict[str, ProviderKind[Any, Any]] = {
    "brevo": _of("brevo", "Brevo", brevo),
    "gmail": _preset("gmail", "Gmail (SMTP)", smtp_presets.GmailConfig),
    "mailersend": _of("mailersend", "MailerSend", mailersend),
    "mailgun": _of("mailgun", "Mailgun", mailgun),
    "mailjet": _of("mailjet", "Mailjet", mailjet),
    "mailtrap": _of("mailtrap", "Mailtrap", mailtrap),
    "memory": _of("memory", "In memory, sends nothing", memory),
    "microsoft365": _preset("microsoft365", "Microsoft 365 (SMTP)", smtp_presets.MicrosoftConfig),
    "postmark": _of("postmark", "Postmark", postmark),
    "resend": _of("resend", "Resend", resend),
    "sendgrid": _of("sendgrid", "Twilio SendGrid", sendgrid),
    "ses": _of("ses", "Amazon SES", ses),
    "smtp": _of("smtp", "SMTP server", smtp),
    "sparkpost": _of("sparkpost", "SparkPost", sparkpost),
}


def kinds() -> tuple[ProviderKind[Any, Any], ...]:
    """Every known kind, by name."""
    known = {**_of_others(), **KINDS}
    return tuple(known[name] for name in sorted(known))


def kind(name: str) -> ProviderKind[Any, Any]:
    """Raises UnknownKind, a KeyError that lists the known ones."""
    if name in KINDS:
        return KINDS[name]
    others = _of_others()
    if name in others:
        return others[name]
    raise UnknownKind(name, sorted({*KINDS, *others}))


def validate(
    name: str,
    config: Mapping[str, Any],
    credentials: Mapping[str, Any],
    plain_http: Collection[str] = (),
) -> tuple[BaseModel, BaseModel]:
    """Settings and credentials of that kind. Raises UnknownKind, and InvalidSettings with every wrong field.

    `plain_http`: hosts beside this machine that may be spoken to without TLS.
    """
    wanted = kind(name)
    problems: list[Problem] = []
    parsed: list[BaseModel] = []
    for part, model, values in (
        ("config", wanted.Config, config),
        ("credentials", wanted.Credentials, credentials),
    ):
        try:
            parsed.append(model.model_validate(dict(values), context={PLAIN_HTTP: plain_http}))
        except ValidationError as error:
            problems += _problems(part, error)
    if not problems:
        problems = [Problem(path, message) for path, message in wanted.disagreements(*parsed)]
    if problems:
        raise InvalidSettings(name, problems)
    return parsed[0], parsed[1]


def settings(name: str, config: Mapping[str, Any], plain_http: Collection[str] = ()) -> BaseModel:
    """Settings of that kind alone. Raises UnknownKind, and pydantic's ValidationError."""
    model: type[BaseModel] = kind(name).Config
    return model.model_validate(dict(config), context={PLAIN_HTTP: plain_http})


def receiver(
    name: str, label: str, config: BaseModel, secrets: Iterable[Mapping[str, Any]], world: World
) -> WebhookReceiver | None:
    """The webhook of an account of the kind `name`; None where the kind has none. Raises InvalidSettings."""
    wanted = kind(name)
    if wanted.webhook is None:
        return None
    return wanted.webhook(label, config, webhook_secrets(name, secrets), world)


def webhook_secrets(name: str, secrets: Iterable[Mapping[str, Any]]) -> list[BaseModel]:
    """Webhook secrets of that kind. Raises UnknownKind, and InvalidSettings with every wrong field."""
    wanted = kind(name).WebhookSecret
    problems: list[Problem] = []
    parsed: list[BaseModel] = []
    for place, values in enumerate(secrets):
        if wanted is None:
            problems.append(Problem("secrets", "this kind of provider has no webhook"))
            break
        try:
            parsed.append(wanted.model_validate(dict(values)))
        except ValidationError as error:
            problems += _problems(f"secrets.{place}", error)
    if problems:
        raise InvalidSettings(name, problems)
    return parsed


def _problems(part: str, error: ValidationError) -> list[Problem]:
    return [
        Problem(".".join([part, *map(str, wrong["loc"])]), wrong["msg"].removeprefix("Value error, "))
        for wrong in error.errors(include_input=False, include_context=False, include_url=False)
    ]


def build(name: str, label: str, config: BaseModel, credentials: BaseModel, world: World) -> Provider:
    """A provider of the kind `name`; `label` is what its errors call it."""
    return kind(name).build(label, config, credentials, world)


class EntryPoint(Protocol):
    @property
    def name(self) -> str: ...

    def load(self) -> Any: ...


def load(entries: Iterable[EntryPoint]) -> dict[str, ProviderKind[Any, Any]]:
    """The kinds that others offer, without those whose names are ours. Raises TypeError for anything else."""
    found: dict[str, ProviderKind[Any, Any]] = {}
    for entry in entries:
        loaded = entry.load()
        offered = loaded() if callable(loaded) else loaded
        if not isinstance(offered, ProviderKind):
            raise TypeError(f"the entry point {entry.name} of {ENTRY_POINTS} does not name a ProviderKind")
        if offered.name not in KINDS:
            found[offered.name] = offered
    return found


@cache
def _of_others() -> dict[str, ProviderKind[Any, Any]]:
    return load(entry_points(group=ENTRY_POINTS))
