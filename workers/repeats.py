"""Making a call again whose end nobody knows, where the provider knows it by its key: the same bytes, the same email.

What the provider says then is evidence as its webhook's would be, and is applied in the same way: it was taken, or the
email itself is refused and so never was. Where it does not say (it is away, or refuses the account), nothing has been
learnt: the doubt stays, and it is asked again later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from domain.attempt import Outcome, SendResult
from domain.delivery import DoubtfulCall, LoadedEmail
from domain.errors import ProviderError, Rejected
from domain.events import DeliveryEvent, EventType, InboundEvent
from domain.files import FilesUnavailable
from domain.ports import Call, CallProvider, Clock, DeliveryQueue, Letter, Log, Provider
from workers.files import NO_FILES, Reader
from workers.ledger import told_at_once
from workers.sending import letter_for
from workers.upkeep import Units

_SECONDS: Final = 40.0  # after which no call is begun any more; the last one may take as long as a send
_AT_ONCE: Final = 10  # calls that one process makes again in a row, before others may
_READING: Final = 20.0  # seconds that its files may take: its emails are kept from others for a minute only


def repeat_calls(
    units: Units,
    adapter: Callable[[UUID], Provider],
    queue: DeliveryQueue,
    clock: Clock,
    log: Log,
    stopping: Callable[[], bool] = lambda: False,
    files: Reader = NO_FILES,
) -> int:
    """Make the doubtful calls again that are due. Returns how many emails it brought evidence for.

    Each is taken just before it is made, so that its emails are nobody else's for as long as it may last. An account
    that says nothing is not asked again this time, so that it keeps no other waiting.
    """
    end = clock.monotonic() + _SECONDS
    silent: set[UUID] = set()
    told: set[UUID] = set()  # the first attempts of calls that were answered: that is applied by others, soon
    learnt = 0
    for _ in range(_AT_ONCE):
        if stopping() or clock.monotonic() >= end:
            break
        with units() as unit:
            call = unit.delivery.doubtful_call(silent)
            unit.commit()
        if call is None:
            break
        if call.attempts[0] in told:
            continue
        taken = clock.monotonic()
        with units() as unit:
            emails = unit.delivery.load(call.jobs)
        whole = _completed(emails, files, log)
        if clock.monotonic() - taken > _READING:
            log.warning("call_too_late", provider=str(call.provider_id), attempt=str(call.attempts[0]))
            continue
        evidence = _ask(call, whole, adapter, log)
        if evidence is None:
            silent.add(call.provider_id)
        elif evidence:
            told.add(call.attempts[0])
            with units() as unit:
                learnt += unit.inbound.keep([(call.provider_id, event) for event in evidence])
                unit.commit()
            queue.ring_events()
    return learnt


def _completed(emails: Mapping[UUID, LoadedEmail], files: Reader, log: Log) -> Mapping[UUID, LoadedEmail]:
    """The emails with their files. Without one whose files cannot be read no call is the same as it was."""
    found = {job: email for job, email in emails.items() if not email.bodiless}
    for job, email in list(found.items()):
        if email.files:
            try:
                found[job] = replace(email, submission=files.complete(email))
            except FilesUnavailable as error:
                log.warning("files_unreadable", email=str(job), reason=str(error))
                del found[job]
    return found


def _ask(
    doubt: DoubtfulCall,
    emails: Mapping[UUID, LoadedEmail],
    adapter: Callable[[UUID], Provider],
    log: Log,
) -> list[InboundEvent] | None:
    """What the provider says of the emails in doubt when the same call is made again; nothing where it cannot be. None:
    the account does not say.
    """
    about = {"provider": str(doubt.provider_id), "attempt": str(doubt.attempts[0])}
    try:
        provider = adapter(doubt.provider_id)
    except LookupError:
        return []
    call = _same(doubt, emails, provider)
    if call is None or not isinstance(provider, CallProvider):
        log.warning("call_not_repeatable", **about)
        return []
    results: Sequence[SendResult | ProviderError]
    try:
        results = provider.send_many(call)
    except ProviderError as error:
        if not _proves(error, call):
            log.warning("call_repeated_in_vain", error=error.code, **about)
            return None
        results = [error]
    # An adapter's fault must not stop the other calls.
    except Exception:
        log.exception("adapter_broke", **about)
        return None
    log.info("call_repeated", emails=len(results), **about)
    told = zip(call.letters, results, strict=True)
    return [
        event
        for letter, result in told
        if letter.attempt_id in doubt.unknown
        for event in _evidence(letter, result)
    ]


def _same(doubt: DoubtfulCall, emails: Mapping[UUID, LoadedEmail], provider: Provider) -> Call | None:
    """The call as it was, byte for byte; None where it can no longer be composed so."""
    if not isinstance(provider, CallProvider) or any(job not in emails for job in doubt.jobs):
        return None
    letters = [
        letter_for(provider, Letter(emails[job].submission, attempt))
        for job, attempt in zip(doubt.jobs, doubt.attempts, strict=False)
    ]
    if len(letters) != len(doubt.attempts):
        return None  # a part of the ledger has been taken away
    try:
        calls = provider.pack(letters, len(letters))
    except Exception:  # noqa: BLE001  # as above
        return None
    same = [
        c
        for c in calls
        if (c.key, c.payload_hash, c.attempts) == (doubt.key, doubt.payload_hash, doubt.attempts)
    ]
    return same[0] if len(calls) == 1 and same else None


def _proves(error: ProviderError, call: Call) -> bool:
    """Whether a call that was refused as a whole shows that its email was not taken before.

    Only a refusal of the very bytes does: had they been taken, their key would have brought the first answer again. A
    refusal of the account, of the sender or for the moment may come before the provider looks at the key. Of
    several emails it does not say which one spoilt the call.
    """
    return isinstance(error, Rejected) and len(call.letters) == 1


def _evidence(letter: Letter, result: SendResult | ProviderError) -> Iterator[InboundEvent]:
    """Of one email in a call that was answered: it was taken, or it was refused by itself."""
    attempt = letter.attempt_id
    if isinstance(result, SendResult):
        yield from told_at_once(attempt, result, letter.submission)
        event = DeliveryEvent(
            EventType.SENT, attempt_id=attempt, provider_message_id=result.provider_message_id,
            description="the same call, made again, was answered",
        )  # fmt: skip
    elif result.outcome is Outcome.NOT_SENT:
        event = DeliveryEvent(EventType.FAILED, attempt_id=attempt, description=result.detail)
    else:
        return
    yield InboundEvent(f"repeat:{attempt}", event, "")
