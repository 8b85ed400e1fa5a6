"""Python client of Mailmux.

from mailmux_client import Mailmux

mailmux = Mailmux("http://127.0.0.1:8025", "mx_live_…")
email = mailmux.emails.send(sender="Shop <shop@example.com>", to=["ada@example.org"], subject="Hello", text="Hi!")
print(mailmux.emails.get(email["id"])["status"])
"""

from mailmux_client.client import Mailmux, set_password, sign_in
from mailmux_client.errors import FieldError, MailmuxError, Unreachable
from mailmux_client.shapes import BatchAccepted, BatchResult, EmailAccepted, EmailOut, EmailSummary
from mailmux_client.webhooks import NotVerified, verify_webhook

__all__ = [
    "BatchAccepted",
    "BatchResult",
    "EmailAccepted",
    "EmailOut",
    "EmailSummary",
    "FieldError",
    "Mailmux",
    "MailmuxError",
    "NotVerified",
    "Unreachable",
    "set_password",
    "sign_in",
    "verify_webhook",
]
