"""The HTTP dialects that an account can speak, by name. SMTP is a protocol of its own (`sandbox.smtp`)."""

from sandbox.dialect import Dialect
from sandbox.sendgrid import SendGrid

HTTP_DIALECTS: dict[str, type[Dialect]] = {dialect.name: dialect for dialect in (SendGrid,)}
