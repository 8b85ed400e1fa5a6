"""The HTTP dialects that an account can speak, by name. SMTP is a protocol of its own (`sandbox.smtp`)."""

from sandbox.brevo import Brevo
from sandbox.dialect import Dialect
from sandbox.mailersend import MailerSend
from sandbox.mailgun import Mailgun
from sandbox.mailjet import Mailjet
from sandbox.mailtrap import Mailtrap
from sandbox.postmark import Postmark
from sandbox.resend import Resend
from sandbox.sendgrid import SendGrid
from sandbox.ses import SES
from sandbox.sparkpost import SparkPost

HTTP_DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect
    for dialect in (
        Brevo, MailerSend, Mailgun, Mailjet, Mailtrap, Postmark, Resend, SendGrid, SES, SparkPost,
    )
}  # fmt: skip
