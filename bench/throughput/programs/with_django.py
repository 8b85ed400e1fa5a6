"""django-post-office as its documentation tunes it, run by an environment of its own.

`with_django.py setup`, or `with_django.py send N`, as bench.throughput.measure.Held asks: `mail.send_many` by 500,
then `send_queued_mail` with two processes. Configured by PEER_DATABASE and PEER_SMTP (port).
"""

import json
import os
import sys
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.management import call_command

BULK = 500


def configure() -> None:
    database = urlsplit(os.environ["PEER_DATABASE"])
    settings.configure(
        SECRET_KEY="not-used",  # noqa: S106
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": database.path.lstrip("/"),
                "USER": database.username,
                "PASSWORD": database.password,
                "HOST": database.hostname,
                "PORT": database.port,
                "CONN_MAX_AGE": None,
                "OPTIONS": {"options": "-c search_path=post_office"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=int(os.environ["PEER_SMTP"]),
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"stderr": {"class": "logging.StreamHandler"}},
            "loggers": {"post_office": {"handlers": ["stderr"], "level": "ERROR"}},
        },
        POST_OFFICE={
            "BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"},
            "BATCH_SIZE": BULK,
            "THREADS_PER_PROCESS": 5,
            "LOG_LEVEL": 0,
            "DEFAULT_PRIORITY": "medium",
        },
    )
    django.setup()


def set_up() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS post_office")
    call_command("migrate", verbosity=0)


def send(count: int) -> None:
    from django.db import connection
    from post_office import mail

    email = json.loads(sys.stdin.readline())
    connection.ensure_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    for first in range(0, count, BULK):
        mail.send_many(
            [
                {
                    "recipients": [f"u{n}@example.com"],
                    "sender": email["from"],
                    "subject": email["subject"],
                    "message": email["text"],
                    "html_message": email["html"],
                }
                for n in range(first, min(first + BULK, count))
            ]
        )
    call_command("send_queued_mail", processes=2, verbosity=0)
    print("{}", flush=True)


if __name__ == "__main__":
    configure()
    if sys.argv[1] == "setup":
        set_up()
    else:
        send(int(sys.argv[2]))
