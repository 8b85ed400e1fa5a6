"""Everything about a recipient goes. The proof is the whole database as text, in which no trace of them is found."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import insert

from db import models, traces
from db.repositories.suppressions import Entry
from domain.events import BounceClass, EventType, InboundEvent
from domain.message import Message
from domain.suppression import Cause
from providers.memory import Answer
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_events import apply, event
from workers.erasing import erase

ADA, BOB = "ada@example.com", "bob@example.com"
OTHER = UUID("019b0000-0000-7000-8000-0000000000aa")
LOG = structlog.get_logger("test")


def ask(house: House, address: str = ADA, user: UUID = USER, everybody: bool = False) -> UUID:
    with house.units() as unit:
        found = unit.erasures.ask(new_id(), user, address, everybody)
        unit.commit()
    return UUID(str(found["id"]))


def work(house: House, seconds: float = 1000.0) -> int:
    return erase(house.units, house.clock, LOG, seconds=seconds)


def dump(house: House) -> str:
    """Every row of every table, as text."""
    names = [r.name for r in house.all("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")]
    return "\n".join(
        f"{name}: {row.line}"
        for name in names
        for row in house.all(f"SELECT CAST(t AS text) AS line FROM {name} t")
    )


def lines_with(house: House, what: str) -> list[str]:
    return [line for line in dump(house).splitlines() if what.lower() in line.lower()]


def found(house: House, erasure: UUID) -> Any:
    return house.one("SELECT * FROM erasures WHERE id = :id", id=erasure)


def lived(house: House) -> dict[str, UUID]:
    """Ada's life in the house: of every kind of thing one, and what mentions her."""
    house.provider("one", answers={"full@example.com": Answer.REJECTED})
    a_webhook(house)
    hello = a_submission(
        to=(ADA,), message=Message(subject="Dear Ada", text="Only for Ada", html="<p>Ada</p>")
    )
    both = a_submission(to=(ADA, BOB), subject=f"Ada ({ADA}) and Bob")
    news = [a_submission(to=(who,), text="The news of May") for who in (ADA, BOB)]
    mention = a_submission(to=(BOB,), text=f"Ask <{ADA}>, not x{ADA} or {ADA}.au", metadata={"about": ADA})
    waits = a_submission(to=(ADA,), subject="Next year")
    waits_for_both = a_submission(to=(ADA, BOB), subject="Next year")
    house.accept(hello, both, *news, mention)
    house.accept(waits, waits_for_both, due_in=86_400)
    house.drain()
    attempt = house.ledger(hello.id)[0].id
    tell(house, f'{{"to": "{ADA}"}}', event(EventType.BOUNCED, attempt, bounce=BounceClass.SOFT))
    tell(house, "to=ada%40example.com", event(EventType.COMPLAINED, house.ledger(news[0].id)[0].id))
    shared = event(EventType.DELIVERED, house.ledger(both.id)[0].id)
    tell(house, f'{{"to": ["ADA@Example.com", "{BOB}"]}}', replace(shared, recipient=BOB))
    tell(house, "a stranger's", replace(event(EventType.DELIVERED, new_id()), mta_response=f"250 <{ADA}> ok"))
    apply(house)
    with house.engine.begin() as connection:
        connection.execute(
            insert(models.IdempotencyKey),
            [
                {"user_id": USER, "route": "emails", "key": key, "request_hash": b"1", "status_code": 202,
                 "response": answer, "expires_at": house.one("SELECT mm_now() + interval '1 day' AS at").at}
                for key, answer in (("of hello", {"id": str(hello.id)}), ("of bob", {"id": str(mention.id)}),
                                    ("batch", {"results": [{"errors": [{"detail": f"{ADA} is no"}]}]}))
            ],
        )  # fmt: skip
        connection.exec_driver_sql(
            "UPDATE email_status SET reason = 'no ' || %(ada)s WHERE email_job_id = %(both)s",
            {"ada": ADA, "both": both.id},
        )
        connection.exec_driver_sql("UPDATE delivery_attempts SET detail = 'no such ADA@example.com'")
    with house.units() as unit:
        entry = Entry(USER, ADA, "marketing", Cause.UNSUBSCRIBED, "API", f"{ADA} left", hello.id)
        unit.suppressions.add([entry])
        unit.commit()
    return {
        "hello": hello.id, "both": both.id, "news": news[0].id, "bobs_news": news[1].id, "mention": mention.id,
        "waits": waits.id, "waits_for_both": waits_for_both.id,
    }  # fmt: skip


def a_webhook(house: House) -> None:
    row = {"id": new_id(), "user_id": USER, "url": "https://a.example/", "types": [], "secret": "-"}
    with house.engine.begin() as connection:
        connection.execute(insert(models.WebhookEndpoint), row)


def tell(house: House, raw: str, said: Any) -> None:
    account = house.one("SELECT id FROM providers WHERE name = 'one'").id
    with house.units() as unit:
        unit.inbound.keep([(account, InboundEvent(str(new_id()), said, raw))])
        unit.commit()


def test_no_trace_is_left(house: House) -> None:
    emails = lived(house)
    assert len(lines_with(house, ADA)) > 15
    erasure = ask(house, everybody=True)
    work(house)
    left = dump(house)
    assert not re.search(r"(?<![a-z])ada(@|%40)example\.com(?!\.)", left, re.IGNORECASE)
    assert "Only for Ada" not in left
    assert "Dear Ada" not in left
    gone = [emails[name] for name in ("hello", "news", "waits")]
    assert not any(str(id_) in line for id_ in gone for line in left.splitlines() if "erased" not in line[:6])
    assert found(house, erasure).done_at is not None
    assert found(house, erasure).found["emails"] == 3


def test_a_user_erases_what_is_theirs(house: House) -> None:
    lived(house)
    ask(house)
    work(house)
    # The account is shared: what it told of nobody's email is the house's, and an operator's to erase.
    assert {line.split(":")[0] for line in lines_with(house, "<ada@example.com>")} == {"inbound_events"}
    assert not [
        line
        for line in lines_with(house, ADA)
        if not line.startswith("inbound_events") and f"x{ADA}" not in line
    ]


def test_what_is_others_stays(house: House) -> None:
    emails = lived(house)
    with house.engine.begin() as connection:
        connection.execute(insert(models.User), {"id": OTHER, "email": "o@x.example", "password_hash": "-"})
    theirs = a_submission(to=(ADA,), user_id=OTHER)
    house.accept(theirs)
    house.drain()
    ask(house)
    work(house)
    assert house.job(theirs.id).recipient == ADA
    assert house.job(emails["bobs_news"]).recipient == BOB
    body = house.one("SELECT text FROM email_contents WHERE text LIKE 'The news%'")
    assert body.text == "The news of May"
    mention = house.one("SELECT text FROM email_contents WHERE text LIKE 'Ask%'").text
    assert mention == f"Ask <[erased]>, not x{ADA} or {ADA}.au"
    assert house.job(emails["mention"]).metadata == {"about": "[erased]"}


def test_an_email_to_several_stays_with_the_others(house: House) -> None:
    emails = lived(house)
    ask(house)
    work(house)
    both = house.job(emails["both"])
    assert [r["email"] for r in both.envelope["recipients"]] == ["erased@erased.invalid", BOB]
    assert both.subject == "Ada ([erased]) and Bob"
    assert house.job(emails["waits_for_both"]).envelope["recipients"][0]["email"] == BOB
    adapter = house.adapters["one"]
    house.pass_time(86_401)
    house.drain()
    last = adapter.sent[-1].submission
    assert [r.address.email for r in last.envelope.recipients] == [BOB]


def test_who_was_on_the_list_stays_on_it(house: House) -> None:
    lived(house)
    ask(house)
    work(house)
    with house.units() as unit:
        [(pair, listings)] = unit.suppressions.listed([(USER, ADA), (USER, BOB)]).items()
    assert pair == (USER, ADA)
    assert {(one.scope, one.cause) for one in listings} >= {("marketing", Cause.UNSUBSCRIBED)}
    (job,) = house.accept(a_submission(to=(ADA,), email_type="marketing"))
    house.drain()
    assert house.job(job).status == "suppressed"


def test_who_was_on_no_list_is_on_none_afterwards(house: House) -> None:
    house.provider("one")
    ask(house)
    work(house)
    with house.units() as unit:
        assert unit.suppressions.listed([(USER, ADA)]) == {}
    (job,) = house.accept(a_submission(to=(ADA,)))
    house.drain()
    assert house.job(job).status == "sent"


def test_it_can_be_asked_again_and_goes_on_where_it_broke_off(house: House) -> None:
    lived(house)
    first = ask(house)
    assert ask(house) == first
    parts = 0
    while house.all("SELECT 1 FROM erasures WHERE done_at IS NULL"):
        with house.units() as unit:  # a worker that dies before its part is committed
            assert unit.erasures.work()
        assert work(house, seconds=1e-9) == 1
        parts += 1
    assert parts > 5
    second = ask(house)
    assert second != first
    work(house)
    assert found(house, second).found.get("emails") is None
    with house.units() as unit:
        assert len(unit.suppressions.listed([(USER, ADA)])[USER, ADA]) >= 1


def test_an_email_that_is_on_its_way_is_waited_for(house: House) -> None:
    house.provider("one")
    (job,) = house.accept(a_submission(to=(ADA,)))
    run = house.run()
    with house.units() as unit:
        unit.delivery.claim(house_lane(), run.id, 10, lambda _: None)
        unit.commit()
    erasure = ask(house)
    work(house)
    assert found(house, erasure).done_at is None
    assert house.job(job).recipient == ADA
    house.kill(run)
    house.sweep()
    house.pass_time(16)
    work(house)
    assert found(house, erasure).done_at is not None
    assert not house.all("SELECT 1 FROM email_jobs")
    assert house.queued(job) is None


def house_lane() -> Any:
    return a_submission().lane


def test_every_table_is_gone_through_or_said_to_be_kept() -> None:
    """A table that comes later is gone through by itself; one that is kept exists."""
    names = set(models.Base.metadata.tables)
    assert names >= traces.KEPT
    assert {"email_jobs", "email_status", "inbound_events", "audit_log"} <= {t.name for t in traces.walked()}


@pytest.mark.parametrize(
    "written",
    [ADA, "ADA@Example.Com", "<ada@example.com>", '"ada@example.com"', "to=ada%40example.com&x=1",
     "%3Cada%40example.com", r"\nada@example.com", r"ada\u0040example.com", "ada&#64;example.com",
     "mailto:ada@example.com?x", "ada@example.com.", "Final-Recipient: rfc822;ada@example.com"],
)  # fmt: skip
def test_an_address_is_found_however_it_is_written(house: House, written: str) -> None:
    assert house.one("SELECT :text ~* :pattern AS hit", text=written, pattern=traces.pattern(ADA)).hit


@pytest.mark.parametrize(
    "written", ["xada@example.com", "x.ada@example.com", "x+ada@example.com", "ada@example.community",
                "ada@example.com.au", "ada@xexample.com", "ada@exampleXcom", "ada"],
)  # fmt: skip
def test_anothers_address_is_not_touched(house: House, written: str) -> None:
    assert not house.one("SELECT :text ~* :pattern AS hit", text=written, pattern=traces.pattern(ADA)).hit
