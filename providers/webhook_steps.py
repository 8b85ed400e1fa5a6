"""How a webhook is set up at each provider, for people, in the words of its own pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_IN_THE_ADDRESS: Final = "The user and the password stand in the address: https://USER:PASSWORD@…"

STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "brevo": (
        "Brevo → Transactional → Settings → Webhook → Add a new webhook: the address below, all events.",
        f"{_IN_THE_ADDRESS} Or make the webhook by Brevo's API with auth of the type bearer, and give its token here: "
        "--secret token=…",
    ),
    "mailersend": (
        "MailerSend → Domains → your domain → Webhooks → Create webhook: the address below, all activity events.",
        "Copy its signing secret, and give it here: --secret signing_secret=…",
    ),
    "mailgun": (
        "Mailgun → Send → Sending → Webhooks: the address below for every kind of event.",
        "Copy the HTTP webhook signing key (API security), and give it here: --secret signing_key=…",
    ),
    "mailjet": (
        "Mailjet → Account settings → Event notifications (webhooks): the address below for every event, grouped.",
        _IN_THE_ADDRESS,
    ),
    "mailtrap": (
        "Mailtrap → Settings → Webhooks → Create: the address below, your stream and domain, all events.",
        "Copy its signature secret, and give it here: --secret signing_secret=…",
    ),
    "postmark": (
        "Postmark → your server → the stream → Webhooks → Add webhook: the address below, every event.",
        "Put the user and the password into Basic auth credentials.",
        "Let it include neither the bounces' nor the complaints' content.",
    ),
    "resend": (
        "Resend → Webhooks → Add webhook: the address below, every email.* event.",
        "Copy its signing secret, and give it here: --secret signing_secret=whsec_…",
    ),
    "sendgrid": (
        "SendGrid → Settings → Mail Settings → Event Webhooks → Create: the address below, all events.",
        "Switch Signature Verification on, and give its public key here: --secret verification_key=…",
    ),
    "ses": (
        "AWS: make an SNS topic, and give its ARN here: --secret topic_arn=arn:aws:sns:…",
        "Subscribe the address below to it (HTTPS, raw message delivery off). It confirms itself.",
        "SES → Configuration sets → your set → Event destinations: the topic, all events but rendering of templates.",
    ),
    "sparkpost": (
        "SparkPost → Configuration → Webhooks → Create webhook: the address below, all events of messages, engagement, "
        "generation and unsubscribes.",
        "Authentication: basic, with the user and the password. Or make the webhook by SparkPost's API with "
        "custom_headers: Authorization: Bearer TOKEN, and give it here: --secret token=…",
    ),
}
