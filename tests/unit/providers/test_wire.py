"""Every exception of the libraries that carry emails has a meaning, and none claims more than it proves."""

from __future__ import annotations

import http.client
import smtplib
import socket
import ssl
from collections.abc import Iterator
from types import ModuleType

import pytest
import requests
import urllib3
from requests import exceptions as requests_exceptions
from urllib3 import exceptions as urllib3_exceptions

from domain.errors import Misconfigured, OutcomeUnknown, ProviderUnavailable
from providers import wire


def exceptions_of(module: ModuleType) -> Iterator[type[BaseException]]:
    """All exception classes that the module defines, and all their subclasses that it defines as well."""
    seen: set[type[BaseException]] = set()

    def walk(kind: type[BaseException]) -> Iterator[type[BaseException]]:
        if kind in seen:
            return
        seen.add(kind)
        if kind.__module__ == module.__name__ and not kind.__name__.startswith("_"):
            yield kind
        for below in kind.__subclasses__():
            yield from walk(below)

    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.__name__:
            yield from walk(value)


@pytest.mark.parametrize(
    "module", [requests_exceptions, urllib3_exceptions, smtplib, http.client, ssl, socket]
)
def test_every_exception_of_a_library_is_in_the_table(module: ModuleType) -> None:
    known = list(exceptions_of(module))
    assert known
    missing = sorted(wire.name_of(kind) for kind in known if wire.name_of(kind) not in wire.TABLE)
    assert not missing, f"decide what these prove, and add them to wire.TABLE: {missing}"


def test_every_builtin_error_of_the_system_is_in_the_table() -> None:
    kinds: list[type[OSError]] = [OSError, *OSError.__subclasses__(), *ConnectionError.__subclasses__()]
    missing = [k for k in kinds if k.__module__ == "builtins" and wire.name_of(k) not in wire.TABLE]
    assert not missing


def test_the_table_names_nothing_that_is_not_there() -> None:
    """A class that was renamed would be unmapped without a word."""
    modules = {
        m.__name__: m for m in (requests_exceptions, urllib3_exceptions, smtplib, http.client, ssl, socket)
    }
    for name in wire.TABLE:
        module, _, kind = name.rpartition(".")
        if module in modules:
            assert hasattr(modules[module], kind), name


class Unheard(OSError):
    pass


class FinerRefusal(ConnectionRefusedError):
    pass


@pytest.mark.parametrize("error", [Unheard(), FinerRefusal(), KeyError("x"), RuntimeError(), MemoryError()])
def test_what_nobody_has_judged_proves_nothing(error: Exception) -> None:
    assert type(wire.translate("p", error)) is OutcomeUnknown


def test_a_connection_error_of_requests_is_judged_by_what_it_wraps() -> None:
    pool = urllib3.HTTPConnectionPool("127.0.0.1")
    refused = urllib3_exceptions.NewConnectionError(pool, "refused")  # type: ignore[arg-type]
    wrapped = urllib3_exceptions.MaxRetryError(pool, "/", refused)
    assert type(wire.translate("p", requests.ConnectionError(wrapped))) is ProviderUnavailable
    lost = urllib3_exceptions.ProtocolError("Connection aborted.", http.client.RemoteDisconnected(""))
    assert type(wire.translate("p", requests.ConnectionError(lost))) is OutcomeUnknown
    assert type(wire.translate("p", requests.ConnectionError())) is OutcomeUnknown
    loop = requests.ConnectionError()
    loop.args = (loop,)
    assert type(wire.translate("p", loop)) is OutcomeUnknown
    pool.close()


def test_a_real_refusal_through_requests_is_unsent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(requests.ConnectionError) as caught:
            requests.post(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout=1)
    assert type(wire.translate("p", caught.value)) is ProviderUnavailable


def test_the_stage_decides_before_the_class() -> None:
    assert type(wire.unsent("p", ConnectionResetError())) is ProviderUnavailable
    assert type(wire.unanswered("p", ConnectionRefusedError())) is OutcomeUnknown
    assert type(wire.unsent("p", http.client.InvalidURL())) is Misconfigured


@pytest.mark.parametrize(
    "error",
    [
        OSError("ada@example.com"),
        OSError(5, "ada@example.com"),
        ConnectionError("ada@example.com"),
        smtplib.SMTPRecipientsRefused({"ada@example.com": (550, b"no")}),
        smtplib.SMTPSenderRefused(550, b"ada@example.com", "ada@example.com"),
        requests.ConnectionError("http://key@example.com"),
        ssl.SSLError(1, "ada@example.com"),
        ValueError("ada@example.com"),
    ],
)
def test_an_exception_is_told_in_our_words(error: Exception) -> None:
    for told in (wire.unsent("p", error), wire.unanswered("p", error), wire.translate("p", error)):
        assert "@" not in str(told)
