"""What Amazon SES tells of an account: its quota, its rate and its identities.

Credentials may be allowed to send only.

Sources: botocore's model of sesv2: GetAccount, ListEmailIdentities, GetEmailIdentity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.checkup import Allowance, Checkup, SenderIdentity
from domain.errors import Misconfigured
from domain.sender_domains import DomainRecord, RecordKind, SenderDomain
from domain.suppression import ListPage
from providers.base import HTTPProvider
from providers.exchange import Request, Response
from providers.ses_lists import page
from providers.ses_signing import Signer

_DKIM = "dkim.amazonses.com"  # where regions do not say another


class SESAccount(HTTPProvider):
    _signer: Signer

    def probe(self) -> Request:
        return self._signer.request("get_account")

    def may_only_send(self, response: Response) -> bool:
        return response.status in (400, 403) and self._code(response) in (
            "AccessDenied",
            "AccessDeniedException",
        )

    def recognise(self, response: Response) -> Checkup:
        account = self.json(response)
        quota = account["SendQuota"]
        limit, used = float(quota["Max24HourSend"]), float(quota["SentLast24Hours"])
        rate = float(quota["MaxSendRate"])
        if account.get("SendingEnabled") is False or account.get("EnforcementStatus") == "SHUTDOWN":
            raise Misconfigured(self.name, "Amazon SES has stopped or paused the account's sending")
        notes = ("the account is in the SES sandbox: it reaches only verified recipients",)
        return Checkup(
            self._identities(),
            Allowance(None if limit < 0 else int(limit), int(used), hours=24),
            rate,
            notes if account.get("ProductionAccessEnabled") is False else (),
        )

    def _identities(self) -> tuple[SenderIdentity, ...] | None:
        """The first hundred. None where the credentials may not ask."""
        response = self._origin.perform(self._signer.request("list_email_identities", PageSize=100))
        if self.may_only_send(response):
            return None
        found = self.json(self.passed(response)).get("EmailIdentities", [])
        return tuple(SenderIdentity(str(i["IdentityName"]), i.get("SendingEnabled") is True) for i in found)

    def find_domain(self, name: str) -> SenderDomain | None:
        """A verified domain stands for those below it too. Where none is known, single addresses may be allowed."""
        labels = name.split(".")
        for start in range(len(labels) - 1):
            identity = ".".join(labels[start:])
            found = self.ask_domain(self._signer.request("get_email_identity", EmailIdentity=identity))
            if found is not None:
                return _domain(identity, found)
        return None

    def suppressions(self, cursor: str | None) -> ListPage:
        asked: dict[str, Any] = {"PageSize": 1000} | ({"NextToken": cursor} if cursor else {})
        return page(self.ask_list(self._signer.request("list_suppressed_destinations", **asked)))

    def _code(self, response: Response) -> str:
        """The error's name: in a header, or in the body with a namespace before it (AWS restJson1 protocol)."""
        code = response.headers.get("x-amzn-errortype", "")
        if not code:
            try:
                body = self.json(response)
                code = str(body.get("__type") or body.get("code") or body.get("Code") or "")
            except (ValueError, AttributeError):
                return ""
        return code.partition(":")[0].rpartition("#")[2].strip()


def _domain(name: str, found: Mapping[str, Any]) -> SenderDomain:
    """Of GetEmailIdentity's answer: easy DKIM, and a MAIL FROM domain where one is set."""
    dkim, mail_from = found.get("DkimAttributes") or {}, found.get("MailFromAttributes") or {}
    records = [
        DomainRecord(
            RecordKind.DKIM,
            "CNAME",
            f"{token}._domainkey.{name}",
            f"{token}.{dkim.get('SigningHostedZone') or _DKIM}",
        )
        for token in dkim.get("Tokens") or ()
    ]
    return_path = mail_from.get("MailFromDomain") or None
    return SenderDomain(bool(found["VerifiedForSendingStatus"]), tuple(records), return_path)
