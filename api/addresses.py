"""Reading mailboxes: "a@b.c", "Name <a@b.c>" and {"email": …, "name": …}."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_wrap_validator_function

from domain.headers import value_problem
from domain.message import Address

MAX_EMAIL = 320
MAX_NAME = 200

# Private networks have mail servers too, and reach them by an SMTP provider. (The library's documented switch.)
if "local" in SPECIAL_USE_DOMAIN_NAMES:
    SPECIAL_USE_DOMAIN_NAMES.remove("local")

_SPECIAL_ENDS = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)

# The common shape of an address, which needs no further look: letters, digits and single separators, and labels
# that cannot be IDNA's. A property test holds it together with the library's verdict.
_COMMON = re.compile(
    r"(?=[^@]{1,64}@.{1,180}\Z)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9]{1,63}(?:-[A-Za-z0-9]{1,20})?\.){1,4}"
    r"[A-Za-z]{2,20}\Z",
    re.ASCII,
)

_NAMED = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^"<>]*?))\s*<(?P<email>[^<>]*)>\s*\Z', re.DOTALL
)


def check_email(text: str) -> str:
    """Return the mailbox with its domain in ASCII (IDNA 2008, UTS 46) and lower case.

    No name server is asked. Domains without a dot and local parts beyond ASCII are refused: few providers
    take them.
    """
    if _COMMON.match(text):
        local, _, domain = text.partition("@")
        domain = domain.lower()
        if domain.rpartition(".")[2] not in _SPECIAL_ENDS:
            return f"{local}@{domain}"
    return _look_closely(text)


def _look_closely(text: str) -> str:
    if len(text) > MAX_EMAIL:
        raise PydanticCustomError("too_long", "an address has at most 320 characters")
    if not text.rpartition("@")[0].isascii():
        raise PydanticCustomError(
            "address", "the part before the @ must be ASCII: internationalized mailboxes are not supported"
        )
    try:
        valid = validate_email(
            text,
            check_deliverability=False,
            globally_deliverable=False,
            test_environment=True,
            allow_smtputf8=False,
            strict=True,
        )
    except EmailNotValidError as error:
        raise PydanticCustomError("address", "not an email address: {why}", {"why": str(error)}) from None
    if "." not in valid.ascii_domain:
        raise PydanticCustomError("address", "the domain has no dot")
    return f"{valid.local_part}@{valid.ascii_domain.lower()}"


def check_name(name: str) -> str:
    """Return a display name without blanks around it."""
    if len(name) > MAX_NAME:
        raise PydanticCustomError("too_long", "a name has at most 200 characters")
    if (problem := value_problem(name)) is not None:
        raise PydanticCustomError("header_value", "{problem}", {"problem": problem})
    return name.strip()


class AddressObject(BaseModel):
    """A mailbox: `email`, and the name that is shown with it."""

    model_config = ConfigDict(extra="forbid", title="Address")

    email: Annotated[str, AfterValidator(check_email)]
    name: Annotated[str, AfterValidator(check_name)] = ""

    def value(self) -> Address:
        return Address(self.email, self.name)


def _from_text(text: str) -> Address:
    named = _NAMED.match(text)
    if named is None:
        return Address(check_email(text.strip()))
    name = (
        named["plain"]
        if named["quoted"] is None
        else re.sub(r"\\(.)", r"\1", named["quoted"], flags=re.DOTALL)
    )
    return Address(check_email(named["email"].strip()), check_name(name))


class _Reading:
    """How pydantic reads an Address: a text by `read`, an object as AddressObject."""

    def __init__(self, read: Callable[[str], Address]) -> None:
        self._read = read

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source
        return no_info_wrap_validator_function(self._address, handler.generate_schema(AddressObject))

    def _address(self, value: Any, as_object: ValidatorFunctionWrapHandler) -> Address:
        if isinstance(value, str):
            return self._read(value)
        if not isinstance(value, dict):
            raise PydanticCustomError("address_type", "an address is a text or an object with email and name")
        found: AddressObject = as_object(value)
        return found.value()


_SHOWN = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "examples": ["ada@example.com", "Ada Lovelace <ada@example.com>"]},
            {
                "type": "object",
                "properties": {
                    "email": {"type": "string", "maxLength": MAX_EMAIL},
                    "name": {"type": "string", "maxLength": MAX_NAME, "default": ""},
                },
                "required": ["email"],
                "additionalProperties": False,
            },
        ],
        "title": "Mailbox",
    }
)

Mailbox = Annotated[Address, _Reading(_from_text), _SHOWN]
"""Of somebody who receives."""

SenderMailbox = Annotated[Address, _Reading(lru_cache(maxsize=256)(_from_text)), _SHOWN]
"""Of somebody who sends: the same in very many emails."""
