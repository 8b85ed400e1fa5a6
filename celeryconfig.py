"""Celery's settings. Redis is a doorbell here: losing a message loses no email (docs/reference/reliability.md)."""

import os

from wiring.settings import Settings

_settings = Settings.from_env(os.environ)

broker_url = _settings.redis_url.reveal()
task_serializer = "json"
accept_content = ["json"]
result_backend = None
task_ignore_result = True
task_store_errors_even_if_ignored = False

# A drain that dies is rung again by the sweeper; late acknowledgement only makes that quicker.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
worker_max_tasks_per_child = 10_000
task_time_limit = 120
worker_soft_shutdown_timeout = 20
worker_hijack_root_logger = False
worker_send_task_events = True
worker_direct = True  # a queue of each worker's own, for wiring.alive

# The broker's default is no timeout at all: a half-open connection would hang in silence.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_connection_timeout = 2
broker_transport_options = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
task_publish_retry = False

task_default_queue = "upkeep"
timezone = "UTC"

# Only how often each duty is rung for: when it is due is decided in the database, by the database's clock. What waits
# already is not rung for again, by wiring.beat and not by an expiry that another machine's clock would judge.
_MOST_SECONDS = 15.0
_upkeep = _settings.upkeep
_duties = {
    "sweep": _settings.delivery.sweep_seconds,
    "open_quota_windows": _upkeep.quota_seconds,
    "measure_providers": _upkeep.measure_seconds,
    "forget_idempotency_keys": _upkeep.forget_keys_seconds,
    "purge": _upkeep.purge_seconds,
    "repeat_calls": _upkeep.repeat_seconds,
    "look_up": _upkeep.look_up_seconds,
    "read_reports": _upkeep.reports_seconds,
    "collect_files": _upkeep.collect_files_seconds,
    "watch_campaigns": _upkeep.campaigns_seconds,
    "check_domains": _upkeep.domains_seconds,
    "erase": _upkeep.erase_seconds,
    "add_up_stats": _upkeep.stats_seconds,
}
beat_scheduler = "wiring.beat:DutyScheduler"
beat_schedule = {
    name: {"task": f"mailmux.{name}", "schedule": min(seconds, _MOST_SECONDS)}
    for name, seconds in _duties.items()
}
