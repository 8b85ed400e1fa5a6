"""What can be set about delivery, upkeep and the calls of providers."""

from __future__ import annotations

from pathlib import Path

from wiring.settings.reading import Group
from wiring.settings.values import Days, HttpUrl, Networks, Password, Positive, env


class Delivery(Group):
    """How workers claim, send, wait and give up. Times are seconds."""

    lease_seconds: Positive = env(
        "MAILMUX_LEASE_SECONDS", "How long a worker process may hold emails without a sign of life.", 15.0
    )
    heartbeat_seconds: Positive = env(
        "MAILMUX_HEARTBEAT_SECONDS",
        "How often a worker process renews its lease; at most half of it, a third is good.",
        5.0,
    )
    window: int = env(
        "MAILMUX_WINDOW",
        "Emails that a process sends under one entry of the ledger: what a kill -9 can leave unknown.",
        25,
        ge=1,
        le=1000,
    )
    bulk_window: int = env(
        "MAILMUX_BULK_WINDOW", "The same for the bulk lane: larger is faster.", 100, ge=1, le=1000
    )
    in_flight: int = env(
        "MAILMUX_IN_FLIGHT",
        "Threads of a process that send: series by SMTP, calls of several emails, first requests over new connections.",
        50,
        ge=1,
        le=1000,
    )
    batch: int = env(
        "MAILMUX_BATCH",
        "Emails claimed at once, at most: what goes within half a second.",
        1000,
        ge=1,
        le=10_000,
    )
    claim_cap: int = env(
        "MAILMUX_CLAIM_CAP",
        "Claims that may die with an email before it is failed and shown.",
        5,
        ge=1,
        le=100,
    )
    drain_seconds: Positive = env(
        "MAILMUX_DRAIN_SECONDS",
        "How long one task keeps working before it makes room for another lane.",
        20.0,
    )
    unknown_ttl_seconds: Positive = env(
        "MAILMUX_UNKNOWN_TTL_SECONDS", "How long an email may stay unknown before that is final.", 86_400.0
    )
    resend_after_seconds: Positive = env(
        "MAILMUX_RESEND_AFTER_SECONDS",
        "How long an unknown email of a type that resends waits for evidence.",
        60.0,
    )
    give_up_after_seconds: Positive = env(
        "MAILMUX_GIVE_UP_AFTER_SECONDS", "How long an email that nobody takes is tried.", 259_200.0
    )
    silence_seconds: Positive = env(
        "MAILMUX_SILENCE_SECONDS",
        "How long a worker may end no task at all, while Redis answers, before it is killed and started again.",
        120.0,
    )
    sweep_seconds: Positive = env(
        "MAILMUX_SWEEP_SECONDS", "How often due lanes are rung and the claims of dead processes freed.", 5.0
    )


class Upkeep(Group):
    """How often the clock's duties are done, in seconds, and how long what came to rest is kept, in days (0: for ever).

    Nothing of an email that still moves is taken away, `unknown` ones that wait for evidence included.
    """

    quota_seconds: Positive = env(
        "MAILMUX_QUOTA_SECONDS", "How often quota windows that have ended are opened anew.", 60.0
    )
    measure_seconds: Positive = env(
        "MAILMUX_MEASURE_SECONDS", "How often the providers' reliability and latency are measured.", 60.0
    )
    forget_keys_seconds: Positive = env(
        "MAILMUX_FORGET_KEYS_SECONDS", "How often idempotency keys are deleted whose time is over.", 3600.0
    )
    purge_seconds: Positive = env(
        "MAILMUX_PURGE_SECONDS", "How often what is older than the following is deleted.", 3600.0
    )
    repeat_seconds: Positive = env(
        "MAILMUX_REPEAT_SECONDS",
        "How often calls are looked for that may be made again, because nobody knows how they ended.",
        5.0,
    )
    look_up_seconds: Positive = env(
        "MAILMUX_LOOK_UP_SECONDS",
        "How often providers are asked for emails of which nobody knows whether they were sent.",
        10.0,
    )
    reports_seconds: Positive = env(
        "MAILMUX_REPORTS_SECONDS", "How often mailboxes are read for bounces and complaints.", 60.0
    )
    collect_files_seconds: Positive = env(
        "MAILMUX_COLLECT_FILES_SECONDS",
        "How often attachments are looked for that nobody has asked for in a day, and no email carries.",
        3600.0,
    )
    campaigns_seconds: Positive = env(
        "MAILMUX_CAMPAIGNS_SECONDS", "How often campaigns are looked at, whether they are to pause.", 5.0
    )
    domains_seconds: Positive = env(
        "MAILMUX_DOMAINS_SECONDS",
        "How often sender domains are looked for that are due to be checked: daily, and more often while they wait.",
        60.0,
    )
    stats_seconds: Positive = env(
        "MAILMUX_STATS_SECONDS", "How often what was sent and told since is added to the statistics.", 15.0
    )
    erase_seconds: Positive = env(
        "MAILMUX_ERASE_SECONDS", "How often recipients are looked for who are to be erased.", 5.0
    )
    keep_bodies_days: Days = env(
        "MAILMUX_KEEP_BODIES_DAYS", "Texts and HTML of emails; they go up to three days later.", 30.0
    )
    keep_files_days: Days = env(
        "MAILMUX_KEEP_ATTACHMENTS_DAYS",
        "Attachments, after the emails that carry them were sent or ended.",
        30.0,
    )
    keep_attempts_days: Days = env("MAILMUX_KEEP_ATTEMPTS_DAYS", "Attempts, with their decisions.", 90.0)
    keep_timeline_days: Days = env("MAILMUX_KEEP_TIMELINE_DAYS", "Timelines of emails.", 90.0)
    keep_events_days: Days = env("MAILMUX_KEEP_EVENTS_DAYS", "What providers told, as they told it.", 90.0)
    keep_performance_days: Days = env(
        "MAILMUX_KEEP_PERFORMANCE_DAYS", "The history of the providers' performance.", 400.0
    )
    keep_stats_days: Days = env("MAILMUX_KEEP_STATS_DAYS", "Statistics.", 800.0)
    keep_audit_days: Days = env("MAILMUX_KEEP_AUDIT_DAYS", "The audit log.", 400.0)
    keep_emails_days: Days = env(
        "MAILMUX_KEEP_EMAILS_DAYS", "Emails with their recipients, subjects and all of the above.", 0.0
    )


class Attachments(Group):
    """Where attachments are kept, how large they may be, and where they may be fetched from.

    In a directory of this machine, unless a bucket is named. API and workers must use the same.
    """

    directory: Path | None = env(
        "MAILMUX_ATTACHMENTS_DIR",
        "The directory of attachments. Not set: `attachments` in the data directory.",
        None,
    )
    max_bytes: int = env(
        "MAILMUX_MAX_ATTACHMENTS_BYTES",
        "How large the attachments of one email may be together, before encoding, which adds 37%.",
        25_000_000,
        ge=1,
        le=60_000_000,
    )
    bucket: str | None = env(
        "MAILMUX_S3_BUCKET",
        "A bucket of Amazon S3, or of any service with its API, that keeps attachments instead of a directory.",
        None,
        min_length=1,
    )
    endpoint: HttpUrl | None = env(
        "MAILMUX_S3_ENDPOINT", "The address of the service. Not set: Amazon's, of the region.", None
    )
    region: str = env("MAILMUX_S3_REGION", "The bucket's region.", "us-east-1")
    prefix: str = env(
        "MAILMUX_S3_PREFIX", "What the names of all objects begin with, such as `mailmux/`.", ""
    )
    access_key_id: str | None = env(
        "MAILMUX_S3_ACCESS_KEY_ID",
        "Not set: what boto3 finds by itself, such as the role of the machine.",
        None,
    )
    secret_access_key: Password | None = env("MAILMUX_S3_SECRET_ACCESS_KEY", "Goes with the above.", None)
    fetch_networks: Networks = env(
        "MAILMUX_FETCH_NETWORKS",
        "Networks that attachments may be fetched from by https beside the public internet, as 10.1.0.0/16,fd00::/8. "
        "Whoever may send can have everything read there that answers without a password.",
        (),
    )
    fetch_seconds: Positive = env(
        "MAILMUX_FETCH_SECONDS",
        "How long fetching the attachments of a request from their addresses may take. What takes longer is uploaded.",
        5.0,
    )


class ProviderTimeouts(Group):
    """How long a provider may take, in seconds."""

    connect_seconds: Positive = env(
        "MAILMUX_PROVIDER_CONNECT_SECONDS", "How long connecting to a provider may take.", 5.0
    )
    read_seconds: Positive = env(
        "MAILMUX_PROVIDER_READ_SECONDS",
        "How long a provider may be silent; then the outcome is unknown.",
        10.0,
    )
    total_seconds: Positive = env(
        "MAILMUX_PROVIDER_TOTAL_SECONDS",
        "How long one send may take in all; an SMTP server has so long to answer the end of an email.",
        30.0,
    )
