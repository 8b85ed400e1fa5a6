"""/metrics on a real database and Redis: what it tells, of whom, and to whom."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, text

from api.app import create_app
from api.metrics import FIGURES
from db.live import RedisLiveState
from db.tally import Tally
from domain.budgets import Period
from domain.events import EventType
from domain.message import Lane
from providers.memory import Answer
from routing.breaker import TRIP_AFTER, Sign
from routing.live import Signal
from tests.builders import USER, a_submission, new_id
from tests.integration.delivery.conftest import House
from tests.integration.delivery.test_budgets import set_budget
from tests.integration.delivery.test_events import event, sent, tell
from wiring import metrics_page
from wiring.bootstrap import SystemClock
from wiring.settings import Settings
from wiring.wsgi import build_api
from workers.counting import CountingSender
from workers.inbound import UNMATCHED_AFTER, apply_events

KEY = "k1:" + base64.b64encode(b"k" * 32).decode()
TOKEN = "a-token-of-sixteen"
AWAY = {"REMOTE_ADDR": "192.0.2.1"}


def client(database_url: str, redis_url: str, **environ: str) -> FlaskClient:
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "MAILMUX_ENCRYPTION_KEYS": KEY,
        **environ,
    }
    return create_app(build_api(Settings.from_env(settings))).test_client()


@pytest.fixture
def house(database_url: str, redis_url: str) -> Iterator[House]:
    built = House(database_url, redis_url)
    yield built
    built.close()


def figures(answer: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """Each sample's value by its labels' values; as Prometheus reads it."""
    assert answer.status_code == 200, answer.text
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def by(found: dict[tuple[str, ...], float], *wanted: str) -> float:
    (value,) = [value for labels, value in found.items() if set(wanted) <= set(labels)]
    return value


def test_the_queue_is_told_by_lane_and_state_with_its_age(house: House, database_url: str, redis_url: str):
    house.provider("doubtful", answer=Answer.UNKNOWN)
    house.accept()
    house.drain()
    house.accept(*(a_submission(lane=Lane.BULK) for _ in range(3)))
    house.accept(a_submission(lane=Lane.BULK), due_in=500)
    house.pass_time(100)
    found = figures(client(database_url, redis_url).get("/metrics"))
    queue = found["mailmux_queue_emails"]
    assert (by(queue, "bulk", "due"), by(queue, "bulk", "waiting")) == (3, 1)
    assert (by(queue, "transactional", "unknown"), by(queue, "transactional", "due")) == (1, 0)
    ages = found["mailmux_queue_age_seconds"]
    assert by(ages, "bulk") == pytest.approx(100, abs=5)
    assert by(ages, "transactional") == 0
    assert found["mailmux_up"] == {("postgres",): 1, ("redis",): 1}
    assert by(found["mailmux_worker_runs"], "dead") >= 1, "the run of the drain, whose lease has passed"


def test_quotas_reliability_and_breakers_are_told_by_provider(
    house: House, database_url: str, redis_url: str
):
    house.provider("limited", quota={"daily_quota": 10, "used_today": 4})
    house.provider("free")
    rows = {r.name: r.id for r in house.all("SELECT id, name FROM providers")}
    live = RedisLiveState(house.redis, SystemClock())
    for _ in range(TRIP_AFTER):
        live.fold([Signal(rows["free"], Sign.FAILED)], datetime.now(UTC))
    found = figures(client(database_url, redis_url).get("/metrics"))
    assert by(found["mailmux_quota_limit"], "limited", "day") == 10
    assert by(found["mailmux_quota_used"], "limited", "day") == 4
    assert len(found["mailmux_quota_used"]) == 1
    breakers = found["mailmux_provider_breaker"]
    assert (by(breakers, "limited"), by(breakers, "free") > 0) == (0, True)
    assert by(found["mailmux_provider_reliability"], "free") == 1


def test_what_is_spent_of_each_budget_is_told_of_the_period_that_goes_on(
    house: House, database_url: str, redis_url: str
):
    house.set_time(datetime(2031, 5, 3, 22, 0, tzinfo=UTC))
    house.provider("one", "0.25")
    day = set_budget(house, "1", "one", time_zone="Asia/Kolkata")
    month = set_budget(house, "4", user_id=None, period=Period.MONTH, currency="USD")
    nothing = set_budget(house, "0", "one")
    api = client(database_url, redis_url)

    def told() -> dict[tuple[str, ...], float]:
        return figures(api.get("/metrics"))["mailmux_budget_spent_share"]

    labels = {
        day: (str(day), "USD", "day", "one", str(USER)),
        month: (str(month), "USD", "month", "", ""),
        nothing: (str(nothing), "USD", "day", "one", str(USER)),
    }
    assert told() == {labels[day]: 0, labels[month]: 0, labels[nothing]: 1}
    with house.units() as unit:
        unit.budgets.delete(nothing)
        unit.commit()
    house.accept(*(a_submission() for _ in range(3)))
    house.drain()
    assert told() == {labels[day]: 0.75, labels[month]: 0.1875}
    house.set_time(datetime(2031, 5, 4, 18, 29, tzinfo=UTC))
    assert told()[labels[day]] == 0.75, "it is still the fourth in India"
    house.set_time(datetime(2031, 5, 4, 18, 31, tzinfo=UTC))
    assert told() == {labels[day]: 0, labels[month]: 0.1875}


def test_attempts_are_counted_by_outcome_wherever_they_were_made(
    house: House, database_url: str, redis_url: str
):
    tally = Tally(house.redis)
    sender = CountingSender(house.dispatcher.fleet.adapter, house.pool, house.clock, house.dispatcher.log)  # type: ignore[attr-defined]
    sender.count = tally
    from dataclasses import replace

    house.dispatcher = replace(house.dispatcher, sender=sender)
    house.provider("one", "0.0001", answer=Answer.UNAVAILABLE)
    house.provider("two", "0.0002")
    house.accept(*(a_submission() for _ in range(3)))
    house.drain()
    tally.flush()
    api = client(database_url, redis_url)
    found = figures(api.get("/metrics"))
    attempts = found["mailmux_attempts_total"]
    assert by(attempts, "two", "accepted") == 3
    assert by(attempts, "one", "not_sent", "provider_unavailable") == 3
    assert by(found["mailmux_send_seconds_count"], "two") == 3
    house.accept()
    house.drain()
    tally.flush()
    assert by(figures(api.get("/metrics"))["mailmux_attempts_total"], "two", "accepted") == 4


def test_events_are_told_by_what_they_say_and_those_that_wait_too_long(
    house: House, database_url: str, redis_url: str
):
    tally = Tally(house.redis)
    _, attempt = sent(house)
    tell(house, "one", event(EventType.DELIVERED, attempt), event(EventType.OPENED, attempt))
    tell(house, "one", event(EventType.OPENED, attempt), event(EventType.DELIVERED, new_id()))
    api = client(database_url, redis_url)
    house.pass_time(90)
    found = figures(api.get("/metrics"))
    assert found["mailmux_events_waiting"] == {(): 4}
    assert found["mailmux_events_late_seconds"][()] == pytest.approx(90, abs=5)

    def apply() -> None:
        apply_events(
            house.units, house.bell, house.clock, house.dispatcher.log,
            count=lambda account, what: tally.add("events", str(account), what),
        )  # fmt: skip

    apply()
    house.pass_time(UNMATCHED_AFTER)
    apply()
    tally.flush()
    found = figures(api.get("/metrics"))
    events = found["mailmux_events_total"]
    assert len(events) == 3
    counted = {what: by(events, "one", what) for what in ("delivered", "opened", "unmatched")}
    assert counted == {"delivered": 1, "opened": 2, "unmatched": 1}
    assert (found["mailmux_events_waiting"][()], found["mailmux_events_late_seconds"][()]) == (0, 0)


def test_several_api_processes_tell_the_same(database_url: str, redis_url: str):
    first, second = client(database_url, redis_url), client(database_url, redis_url)
    for api in (first, first, second):
        assert api.post("/v1/emails").status_code == 401
    first.get("/metrics")
    for api in (second, first):
        found = figures(api.get("/metrics"))
        assert by(found["mailmux_request_seconds_count"], "POST", "/v1/emails", "401") == 3
        buckets = found["mailmux_request_seconds_bucket"]
        assert max(v for k, v in buckets.items() if "/v1/emails" in k and "+Inf" in k) == 3


def test_a_path_makes_no_label_of_its_own(database_url: str, redis_url: str):
    api = client(database_url, redis_url)
    for path in (f"/v1/emails/{new_id()}", f"/v1/emails/{new_id()}", "/nothing/here", "/nothing/there"):
        api.get(path)
    found = figures(api.get("/metrics"))["mailmux_request_seconds_count"]
    # Other processes' counts come when they come: those of the scrapes of an earlier test among them.
    assert {labels[1] for labels in found} - {"/metrics"} == {"/v1/emails/<uuid:email_id>", "none"}
    assert by(found, "none") == 2


def test_a_method_that_a_stranger_thinks_up_makes_no_label(database_url: str, redis_url: str):
    api = client(database_url, redis_url)
    for method in ("FOO1", "FOO2"):
        api.open("/healthz", method=method)
    found = figures(api.get("/metrics"))["mailmux_request_seconds_count"]
    assert {labels[0] for labels in found if "FOO" in labels[0]} == set()
    assert by(found, "other") == 2


def test_without_redis_the_database_is_told_and_the_other_way_round(database_url: str, redis_url: str):
    found = figures(client(database_url, "redis://127.0.0.1:1").get("/metrics"))
    assert found["mailmux_up"] == {("postgres",): 1, ("redis",): 0}
    assert "mailmux_queue_emails" in found
    found = figures(client("postgresql://nobody:none@127.0.0.1:1/none", redis_url).get("/metrics"))
    assert found["mailmux_up"] == {("postgres",): 0, ("redis",): 1}
    assert "mailmux_celery_messages" in found


def test_without_a_token_only_this_machine_may_ask(database_url: str, redis_url: str):
    api = client(database_url, redis_url)
    assert api.get("/metrics").status_code == 200
    assert api.get("/metrics", environ_base=AWAY).status_code == 403
    assert api.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403


def test_with_a_token_whoever_bears_it_may_ask(database_url: str, redis_url: str):
    api = client(database_url, redis_url, MAILMUX_METRICS_TOKEN=TOKEN)
    assert api.get("/metrics").status_code == 401
    for wrong in ("Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer ü"):
        assert api.get("/metrics", headers={"Authorization": wrong}).status_code == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert api.get("/metrics", headers=right, environ_base=AWAY).status_code == 200


def test_it_stays_quick_where_many_emails_wait(house: House, database_url: str, redis_url: str):
    house.accept()
    with create_engine(
        database_url, isolation_level="AUTOCOMMIT"
    ).connect() as connection:  # without deadlines
        connection.execute(
            text("""INSERT INTO email_queue (job_id, user_id, lane, due_at)
                    SELECT gen_random_uuid(), user_id, 'bulk', mm_now() FROM email_queue, generate_series(1, 200000)""")
        )
        connection.execute(text("VACUUM ANALYZE email_queue"))
        connection.engine.dispose()
    api = client(database_url, redis_url)
    api.get("/metrics")
    began = time.monotonic()
    found = figures(api.get("/metrics"))
    assert time.monotonic() - began < 1
    assert by(found["mailmux_queue_emails"], "bulk", "due") == 100_000


def test_every_figure_is_told_and_documented(house: House, database_url: str, redis_url: str):
    house.provider("one", quota={"daily_quota": 10})
    with house.units() as unit:
        unit.upkeep.measure_providers()
        unit.commit()
    answer = client(database_url, redis_url).get("/metrics")
    for name in FIGURES:
        assert f"# TYPE {name} " in answer.text
    assert metrics_page.PAGE.read_text() == metrics_page.render(), "run python -m wiring.metrics_page"


def test_counts_that_redis_did_not_take_are_kept_for_the_next_time(redis_url: str):
    with redis.Redis.from_url("redis://127.0.0.1:1") as away, redis.Redis.from_url(redis_url) as back:
        tally = Tally(away)
        tally.add("attempts", "one")
        tally.flush()
        tally._redis = back
        assert tally.read() == {("attempts", "one"): 1}
        back.flushall()
        assert tally.read() == {}
        tally.close()


def test_a_census_needs_no_provider_and_no_duty(database_url: str, redis_url: str):
    found = figures(client(database_url, redis_url).get("/metrics"))
    assert "mailmux_provider_breaker" not in found
    assert by(found["mailmux_open_attempts"]) == 0
