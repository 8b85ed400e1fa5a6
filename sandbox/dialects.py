"""The HTTP dialects that an account can speak, by name. SMTP is a protocol of its own (`sandbox.smtp`)."""

from sandbox.dialect import Dialect
from sandbox.mailgun import Mailgun
from sandbox.postmark import Postmark
from sandbox.resend import Resend
from sandbox.sendgrid import SendGrid
from sandbox.ses import SES

HTTP_DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (Mailgun, Postmark, Resend, SendGrid, SES)
}
