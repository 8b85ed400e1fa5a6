"""Who runs the mailboxes of domains: what one process has looked up, the others need not."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, text

_KNOWN = text("""
    SELECT domain, mailbox_group FROM mailbox_hosts
    WHERE domain = ANY(CAST(:domains AS text[])) AND checked_at > mm_now() - interval '7 days'
""")
_KEEP = text("""
    INSERT INTO mailbox_hosts (domain, mailbox_group)
    SELECT * FROM unnest(CAST(:domains AS text[]), CAST(:groups AS text[])) AS h(domain, mailbox_group) ORDER BY domain
    ON CONFLICT (domain) DO UPDATE SET mailbox_group = excluded.mailbox_group, checked_at = mm_now()
""")


class MailboxHosts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self, domains: Collection[str]) -> Mapping[str, str]:
        """The groups of those of these domains that were looked up in the last seven days."""
        rows = self._connection.execute(_KNOWN, {"domains": list(domains)})
        return {r.domain: r.mailbox_group for r in rows}

    def keep(self, groups: Mapping[str, str]) -> None:
        if groups:
            self._connection.execute(_KEEP, {"domains": list(groups), "groups": list(groups.values())})
