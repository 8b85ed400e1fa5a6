from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path

import pytest

from wiring.settings import Settings, SettingsError, StartSettings
from wiring.settings.values import _rates

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()
COMPLETE = {
    "DATABASE_URL": "postgresql://mailmux:s3cret@db/mailmux",
    "REDIS_URL": "redis://:pa55@cache:6379/0",
    "MAILMUX_ENCRYPTION_KEYS": f"k2:{KEY},k1:{OTHER}",
}


def problems_of(environ: dict[str, str], model: type[StartSettings] = Settings) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        model.from_env(environ)
    assert all(name in str(caught.value) for name in caught.value.problems)
    return caught.value.problems


def test_nothing_needs_to_be_set_for_a_start_on_embedded_services():
    settings = StartSettings.from_env({})
    assert (settings.database_url, settings.redis_url, settings.encryption_keys) == (None, None, None)
    assert (settings.api_host, settings.api_port) == ("127.0.0.1", 8025)
    assert settings.delivery.lease_seconds == 15


def test_every_wrong_variable_is_named_at_once():
    problems = problems_of(
        {
            "DATABASE_URL": "mysql://db/mailmux",
            "REDIS_URL": "cache:6379",
            "MAILMUX_ENCRYPTION_KEYS": "k1:c2hvcnQ=",
            "MAILMUX_API_PORT": "80250",
            "MAILMUX_LEASE_SECONDS": "soon",
            "MAILMUX_LOG_LEVEL": "loud",
            "MAILMUX_PUBLIC_URL": "mail.example.com",
        }
    )
    assert set(problems) == {
        "DATABASE_URL", "REDIS_URL", "MAILMUX_ENCRYPTION_KEYS", "MAILMUX_API_PORT", "MAILMUX_LEASE_SECONDS",
        "MAILMUX_LOG_LEVEL", "MAILMUX_PUBLIC_URL",
    }  # fmt: skip


def test_missing_services_are_named():
    assert set(problems_of({"MAILMUX_DATA_DIR": "/nonexistent"})) == set(COMPLETE)


@pytest.mark.parametrize(
    "given", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"]
)
def test_the_driver_is_named_whatever_the_scheme(given: str):
    settings = Settings.from_env(COMPLETE | {"DATABASE_URL": given})
    assert settings.database_url.reveal() == "postgresql+psycopg2://u:p@h/d"


def test_another_driver_is_refused():
    assert set(problems_of(COMPLETE | {"DATABASE_URL": "postgresql+asyncpg://u:p@h/d"})) == {"DATABASE_URL"}


def test_secrets_are_not_printed():
    settings = Settings.from_env(COMPLETE)
    for text in (repr(settings), str(settings), f"{settings.database_url} {settings.encryption_keys!s}"):
        assert "s3cret" not in text
        assert "pa55" not in text
        assert KEY not in text
        assert "kkkk" not in text
    assert f"{settings.redis_url}" == "***"


def test_errors_do_not_quote_secrets():
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            COMPLETE | {"DATABASE_URL": "mysql://u:s3cret@h/d", "MAILMUX_ENCRYPTION_KEYS": "k1:c2hvcnQ="}
        )
    assert "s3cret" not in str(caught.value)
    assert "c2hvcnQ=" not in str(caught.value)


def test_the_first_key_is_the_current_one():
    keys = Settings.from_env(COMPLETE).encryption_keys
    assert keys.current == "k2"
    assert dict(keys) == {"k2": b"k" * 32, "k1": b"o" * 32}


@pytest.mark.parametrize("given", [f"k1:{KEY},k1:{OTHER}", f"k 1:{KEY}", "k1:???", "k1", ":" + KEY, ","])
def test_unusable_keys_are_refused(given: str):
    assert set(problems_of(COMPLETE | {"MAILMUX_ENCRYPTION_KEYS": given})) == {"MAILMUX_ENCRYPTION_KEYS"}


def test_a_variable_may_come_from_a_file(tmp_path: Path):
    file = tmp_path / "redis"
    file.write_text("redis://elsewhere/1\n")
    given = {name: value for name, value in COMPLETE.items() if name != "REDIS_URL"}
    assert (
        Settings.from_env(given | {"REDIS_URL_FILE": str(file)}).redis_url.reveal() == "redis://elsewhere/1"
    )


def test_a_file_that_cannot_be_read_is_named_once(tmp_path: Path):
    given = {name: value for name, value in COMPLETE.items() if name != "REDIS_URL"}
    assert set(problems_of(given | {"REDIS_URL_FILE": str(tmp_path / "none")})) == {"REDIS_URL_FILE"}


def test_a_variable_and_its_file_contradict_each_other(tmp_path: Path):
    assert set(problems_of(COMPLETE | {"REDIS_URL_FILE": str(tmp_path)})) == {"REDIS_URL"}


def test_an_empty_variable_is_not_set():
    assert StartSettings.from_env({"DATABASE_URL": "", "MAILMUX_API_PORT": " "}).api_port == 8025


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
def test_a_duration_is_a_positive_number(value: str):
    problems = problems_of(COMPLETE | {"MAILMUX_PROVIDER_READ_SECONDS": value})
    assert set(problems) == {"MAILMUX_PROVIDER_READ_SECONDS"}


def test_a_lease_outlives_two_heartbeats():
    problems = problems_of(COMPLETE | {"MAILMUX_LEASE_SECONDS": "8", "MAILMUX_HEARTBEAT_SECONDS": "5"})
    assert set(problems) == {"MAILMUX_HEARTBEAT_SECONDS"}


def test_services_that_up_runs_are_found_in_the_data_directory(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "database-url").write_text("postgresql+psycopg2://found/d\n")
    (tmp_path / "run" / "redis-url").write_text("redis://found/0\n")
    (tmp_path / "encryption-keys").write_text(f"k1:{KEY}\n")
    settings = Settings.from_env({"MAILMUX_DATA_DIR": str(tmp_path)})
    assert settings.redis_url.reveal() == "redis://found/0"
    assert settings.encryption_keys.current == "k1"
    named = Settings.from_env({"MAILMUX_DATA_DIR": str(tmp_path), "REDIS_URL": "redis://named/0"})
    assert named.redis_url.reveal() == "redis://named/0"


def test_a_new_start_does_not_take_what_an_earlier_one_left(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "database-url").write_text("postgresql+psycopg2://gone/d\n")
    assert StartSettings.from_env({"MAILMUX_DATA_DIR": str(tmp_path)}).database_url is None


def test_exchange_rates_are_read_and_wrong_ones_named() -> None:
    assert _rates(" EUR=1.08, GBP=1.25 ") == {"EUR": Decimal("1.08"), "GBP": Decimal("1.25")}
    for wrong in ("EUR", "EUR=", "EUR=0", "EUR=-1", "EUR=x", "eur=1", "EUR=nan", "EUR=inf"):
        with pytest.raises(ValueError, match=r"is no rate like EUR=1\.08"):
            _rates(wrong)
