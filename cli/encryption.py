"""`mailmux encryption`: another key for the secrets in the database."""

from __future__ import annotations

import base64
import secrets
from collections import Counter
from uuid import UUID

import click
from rich.progress import Progress

from cli.database import note, open_unit, read_settings
from db.repositories.sealed import Sealed, SealedTexts
from db.sealing import KEY_BYTES, SealBroken, Sealer, UnknownKey
from db.uow import SqlUnitOfWork
from wiring.bootstrap import build_sealer

_NIL = UUID(int=0)


@click.group()
def encryption() -> None:
    """Use another key for the credentials and secrets in the database.

    \b
    1. mailmux encryption new-key: put it before the others in MAILMUX_ENCRYPTION_KEYS, separated by a comma,
       and restart everything: what is written from then on is sealed with it.
    2. mailmux encryption reseal: seals what is there with it too.
    3. Take the old keys away, and restart once more. Keep them as long as backups that need them.
    """


@encryption.command("new-key")
def new_key() -> None:
    """Print a new key as MAILMUX_ENCRYPTION_KEYS takes it. Nothing is changed."""
    click.echo(f"k{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}")


@encryption.command()
def reseal() -> None:
    """Seal all secrets in the database with the current key, the first of MAILMUX_ENCRYPTION_KEYS.

    Can be repeated and broken off at any time. Ends with 1 where some cannot be opened: their key is missing.
    """
    settings = read_settings()
    sealer = build_sealer(settings)
    done: Counter[str] = Counter()
    shut: list[str] = []
    with Progress(transient=True) as progress:
        for what in SealedTexts.kinds():
            task = progress.add_task(what, total=None)
            after = _NIL
            while True:
                with open_unit() as unit:
                    some = unit.sealed_texts.some(what, after)
                    for one in some:
                        done[_reseal(unit, sealer, one, shut)] += 1
                    if some:
                        note(unit, "encryption reseal")
                    unit.commit()
                progress.update(task, advance=len(some))
                if not some:
                    break
                after = some[-1].id
            progress.update(task, total=1, completed=1)
    click.echo(
        f"{done['resealed']} sealed anew with {settings.encryption_keys.current}, {done['current']} were already"
    )
    if shut:
        lines = "\n".join(f"  {line}" for line in shut)
        raise click.ClickException(f"{len(shut)} cannot be opened, and stay as they are:\n{lines}")
    click.echo("Keys behind the first are not needed any more, but for backups.")


def _reseal(unit: SqlUnitOfWork, sealer: Sealer, one: Sealed, shut: list[str]) -> str:
    place = {"owner": one.owner, "kind": one.kind, "row": one.id}
    try:
        content = sealer.open(one.sealed, **place)  # type: ignore[arg-type]
    except (SealBroken, UnknownKey) as error:
        shut.append(f"{one.what}, {one.id}: {error}")
        return "shut"
    if sealer.is_current(one.sealed):
        return "current"
    unit.sealed_texts.replace(one, sealer.seal(content, **place))  # type: ignore[arg-type]
    return "resealed"
