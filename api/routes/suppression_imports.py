"""/v1/providers/{id}/suppressions/import: whom a provider lists is listed here too."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from api.auditing import commit
from api.auth import Caller, caller
from api.documents import problems
from api.errors import FieldError, Problem, invalid
from api.ownership import changeable
from api.requests import answer, dependencies, scoped
from api.schemas.providers import ProviderPath
from api.schemas.suppressions import ImportAsked, Imported, read_address
from db.repositories.suppressions import Entry
from db.sealing import SealBroken, UnknownKey
from domain.errors import Misconfigured, ProviderError
from domain.ports import ListingProvider
from domain.suppression import Listed, ListPage
from providers import registry

blueprint = APIBlueprint(
    "suppression_imports", __name__, url_prefix="/v1/providers", abp_tags=[Tag(name="suppressions")]
)
_AT_ONCE = 1000  # entries in a transaction


@blueprint.post(
    "/<uuid:provider_id>/suppressions/import",
    summary="Import a provider's suppressions",
    responses={200: Imported, **problems(404, 409, 413, 415, 422, 502)},
)
@scoped("suppressions:write")
def import_page(path: ProviderPath, body: ImportAsked) -> Response:
    """A page of the account's own lists comes onto the caller's. Ask again with `next_cursor` until it is null.

    SendGrid, Postmark, Amazon SES and Mailgun tell whom they list; 409: others do not. Bounces and invalid addresses
    stop every email, complaints and unsubscriptions marketing. What is there already stays, so that repeating a page
    does no harm.
    """
    deps, asker = dependencies(), caller()
    with deps.units() as unit:
        row = changeable(asker, unit.providers.get(asker.user_id, path.provider_id))
    # No transaction is open while the provider is asked.
    found = _ask(row, asker, body.cursor)
    entries = _entries(asker, row["kind"], found.entries)
    added = 0
    for first in range(0, len(entries), _AT_ONCE):
        with deps.units() as unit:
            added += unit.suppressions.add(entries[first : first + _AT_ONCE])
            commit(unit)
    skipped = len(found.entries) - len(entries)
    return answer(Imported(added=added, known=len(entries) - added, skipped=skipped, next_cursor=found.next))


def _ask(row: RowMapping, asker: Caller, cursor: str | None) -> ListPage:
    deps = dependencies()
    try:
        credentials = deps.sealer.open(row["sealed"], owner=row["user_id"], kind=row["kind"], row=row["id"])
        provider = deps.build_provider(
            row["kind"], row["name"], row["config"], credentials, trusted=asker.is_operator
        )
        try:
            if not isinstance(provider, ListingProvider):
                raise Problem(409, f"Providers of the kind {row['kind']} do not tell whom they list")
            return provider.suppressions(cursor)
        finally:
            provider.close()
    except ProviderError as error:
        raise Problem(
            502, f"The provider did not tell: {error.detail}", extra={"code": error.code}
        ) from error
    except (registry.InvalidSettings, registry.UnknownKind, SealBroken, UnknownKey) as error:
        raise Problem(502, str(error), extra={"code": Misconfigured.code}) from error
    except (TypeError, LookupError, AttributeError) as error:
        raise Problem(
            502, "The provider did not tell in the documented form", extra={"code": Misconfigured.code}
        ) from error
    except ValueError as error:
        raise invalid(
            [FieldError("pointer", "/cursor", "cursor", "this is no next_cursor of these lists")]
        ) from error


def _entries(asker: Caller, kind: str, found: Sequence[Listed]) -> list[Entry]:
    """Those that are addresses, in the form in which addresses are compared."""
    entries = []
    for one in found:
        try:
            address = read_address(one.address)
        except PydanticCustomError:
            continue
        entries.append(
            Entry(asker.user_id, address, one.scope, one.cause, f"imported from {kind}", one.detail)
        )
    return entries
