"""Each mechanism that the promise rests on is taken out in turn, and a named test must notice.

A copy of the code is changed and the test runs there: a test that still passes guards nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "db", "domain", "providers", "routing", "tests", "wiring", "workers", "cli", "sandbox")
DEATH = "tests/integration/delivery/test_death.py::"
ONE = "tests/integration/delivery/test_one_email.py::"
EVENTS = "tests/integration/delivery/test_events.py::"
HOOKS = "tests/integration/api/test_hooks.py::"
LIMITS = "tests/integration/delivery/test_limits.py::"
HEART = "tests/integration/delivery/test_heart.py::"
CALLS = "tests/integration/delivery/test_calls.py::"
BUDGETS = "tests/integration/delivery/test_budgets.py::"
DUTIES = "tests/integration/delivery/test_duties.py::"
LOOKUPS = "tests/integration/delivery/test_lookups.py::"


@dataclass(frozen=True)
class Mutation:
    """`old` stands in `file` exactly once; with `new` in its place, `test` must fail."""

    mechanism: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        "what a provider finds counts only where it bears our ids",
        "providers/searching.py",
        "        return attempt == sought.attempt_id\n",
        "        return True\n",
        LOOKUPS + "test_another_attempt_of_the_same_address_is_not_taken_for_it",
    ),
    Mutation(
        "one process looks for an email at a time",
        "db/repositories/lookups.py",
        "            WHERE lookups.looks = excluded.looks - 1\n",
        "",
        LOOKUPS + "test_two_processes_that_ask_at_once_do_not_look_for_the_same",
    ),
    Mutation(
        "looks become rarer",
        "db/repositories/lookups.py",
        "* power({_GROWTH}, coalesce(l.looks, 0)) *",
        "*",
        LOOKUPS + "test_looks_become_rarer_and_end_with_the_day",
    ),
    Mutation(
        "files are fetched from the address that was looked at",
        "providers/sockets.py",
        "            sock.connect(address)\n            sock.setsockopt",
        "            sock.connect(socket.getaddrinfo(host, port, family, kind)[0][4])\n            sock.setsockopt",
        "tests/integration/wiring/test_rebinding.py"
        "::test_a_name_that_leads_elsewhere_a_moment_later_leads_nowhere_inside",
    ),
    Mutation(
        "an email that breaks its reading is put aside",
        "providers/report_mailbox.py",
        "except Exception as surprise:  # noqa: BLE001  # one email's, which would break every round\n"
        "            surprises.append(surprise)\n"
        '            _mark(client, uid, r"(\\Seen \\Flagged)")\n',
        "except ZeroDivisionError as surprise:\n            surprises.append(surprise)\n",
        "tests/integration/delivery/test_reports.py"
        "::test_an_email_that_breaks_its_reading_is_put_aside_and_the_others_count",
    ),
    Mutation(
        "a dry run looks at the request's key",
        "api/intake.py",
        "    results = [_result(asked.sender, wrong, around)]\n    book.requests([asked], [answers], results)\n",
        "    results = [_result(asked.sender, wrong, around)]\n",
        "tests/integration/api/test_batches.py"
        "::test_a_dry_run_says_what_the_key_would_bring_back_and_uses_none",
    ),
    Mutation(
        "a budget that an email comes under is locked until the email is in the ledger",
        "db/repositories/budgets.py",
        '    ORDER BY b.id FOR UPDATE\n    """,  # noqa: S608  # as above\n    users',
        '    ORDER BY b.id\n    """,  # noqa: S608  # as above\n    users',
        BUDGETS + "test_eight_processes_racing_for_a_budget_open_exactly_what_it_has_room_for",
    ),
    Mutation(
        "a budget is given back what was not sent",
        "db/repositories/delivery.py",
        "            self._budgets.refund(refunded)\n",
        "            pass\n",
        BUDGETS + "test_recipients_are_counted_and_given_back_where_nothing_was_sent",
    ),
    Mutation(
        "a claim excludes other claims",
        "db/repositories/claims.py",
        "UPDATE email_queue q SET run = :run, token = :token, claims = q.claims + 1",
        "UPDATE email_queue q SET claims = q.claims + 1",
        DEATH + "test_claimed_emails_are_not_claimed_again_while_the_run_lives",
    ),
    Mutation(
        "the lease fences the ledger",
        "db/repositories/delivery.py",
        "WHERE id = :run AND lease_until > mm_now() FOR KEY SHARE",
        "WHERE id = :run FOR KEY SHARE",
        DEATH + "test_a_run_past_its_lease_can_neither_open_nor_record",
    ),
    Mutation(
        "the token fences the ledger",
        "db/repositories/delivery.py",
        "JOIN email_queue q ON q.job_id = o.job_id AND {claims.IS_HELD}",
        "JOIN email_queue q ON q.job_id = o.job_id",
        DEATH + "test_a_write_with_an_old_token_is_refused",
    ),
    Mutation(
        "the ledger is committed before the wire",
        "workers/delivery.py",
        "                    unit.delivery.note_calls([c.line for c in self._calls])\n"
        "                    unit.commit()\n",
        "                    unit.delivery.note_calls([c.line for c in self._calls])\n",
        DEATH + "test_the_ledger_is_committed_before_the_wire",
    ),
    Mutation(
        "no socket is opened past the lease",
        "workers/delivery.py",
        "send, alive = self._deps.sender.send, self._run.alive",
        "send, alive = self._deps.sender.send, lambda: True",
        DEATH + "test_a_lease_that_passes_after_the_ledger_leaves_a_doubt_but_opens_no_socket",
    ),
    Mutation(
        "the sweeper frees the claims of the dead",
        "workers/upkeep.py",
        "freed = unit.upkeep.free_orphans()",
        "freed = 0",
        DEATH + "test_an_email_of_a_dead_run_that_never_reached_the_wire_is_claimable_at_once",
    ),
    Mutation(
        "the sweeper settles what the dead left open as unknown",
        "workers/upkeep.py",
        "doubts = unit.upkeep.doubts()",
        "doubts: list[Doubt] = []",
        DEATH + "test_an_email_of_a_dead_run_with_an_open_attempt_is_unknown_and_never_sent_again",
    ),
    Mutation(
        "the sweeper rings lanes that have due emails",
        "workers/upkeep.py",
        "    for lane in lanes:\n        queue.ring(lane)\n",
        "",
        HEART + "test_it_frees_what_others_left_and_rings",
    ),
    Mutation(
        "a doubt is held",
        "routing/policy.py",
        "    if error.outcome is Outcome.UNKNOWN:\n",
        "    if False and error.outcome is Outcome.UNKNOWN:\n",
        ONE + "test_an_unknown_outcome_is_held_and_not_sent_elsewhere",
    ),
    Mutation(
        "claims that die are capped",
        "workers/loading.py",
        "spent = [j for j in self._claim.jobs if j.claims > cap]",
        "spent = [j for j in self._claim.jobs if j.claims > 1000]",
        DEATH + "test_after_two_deaths_an_email_is_claimed_alone_and_past_the_cap_it_fails",
    ),
    Mutation(
        "who has left since is not written to",
        "db/repositories/claims.py",
        "return _with_stops(connection, found)",
        "return found",
        "tests/integration/delivery/test_suppression.py::"
        "test_somebody_who_leaves_while_an_email_waits_does_not_get_it",
    ),
    Mutation(
        "what is halted is not sent",
        "workers/loading.py",
        "later = dict.fromkeys(halted, HALTED)",
        "later = {}",
        "tests/integration/delivery/test_campaigns.py::"
        "test_nothing_of_a_paused_campaign_is_sent_and_the_rest_goes_on",
    ),
    Mutation(
        "quotas are locked before they are reserved",
        "db/repositories/quotas.py",
        "    ORDER BY provider_id\n    FOR UPDATE\n",
        "    ORDER BY provider_id\n",
        LIMITS + "test_a_worker_waits_for_another_that_is_reserving_the_last_of_a_quota",
    ),
    Mutation(
        "what was not sent is refunded",
        "db/repositories/delivery.py",
        "        self._quotas.refund(",
        "        sorted(",
        LIMITS + "test_a_quota_counts_recipients_and_is_refunded_where_nothing_was_sent",
    ),
    Mutation(
        "plans that are kept find their rows by key",
        "db/uow.py",
        '"enable_seqscan": "off"',
        '"enable_seqscan": "on"',
        "tests/integration/test_statements.py::"
        "test_no_statement_on_the_path_reads_a_whole_table_though_it_was_planned_on_an_empty_one",
    ),
    Mutation(
        "one at a time sweeps",
        "workers/upkeep.py",
        "        if not unit.upkeep.lead(Duty.SWEEP):\n            return Swept()\n",
        "",
        HEART + "test_sweeping_is_led_by_one_at_a_time",
    ),
    Mutation(
        "one at a time performs a duty",
        "workers/upkeep.py",
        "if not unit.upkeep.lead(duty) or not",
        "if not",
        DUTIES + "test_a_duty_is_left_to_who_is_at_it",
    ),
    Mutation(
        "a duty is done when it is due only",
        "workers/upkeep.py",
        "or not unit.upkeep.overdue({duty: rota.every[duty]}):",
        "or False:",
        DUTIES + "test_a_duty_is_done_once_a_period_however_many_beats_ring",
    ),
    Mutation(
        "claims pass over what another claim holds",
        "db/repositories/claims.py",
        "ORDER BY due_at LIMIT :share FOR UPDATE SKIP LOCKED",
        "ORDER BY due_at LIMIT :share FOR UPDATE",
        DEATH + "test_a_claim_passes_over_what_another_transaction_holds",
    ),
    Mutation(
        "an attempt is settled once",
        "db/repositories/delivery.py",
        "WHERE a.id = e.id AND a.run IS NOT DISTINCT FROM :run AND coalesce(a.outcome, '') = ''",
        "WHERE a.id = e.id AND a.run IS NOT DISTINCT FROM :run",
        DEATH + "test_an_attempt_that_is_settled_is_not_settled_again",
    ),
    Mutation(
        "what was due when a backup was made is held",
        "db/repositories/recovery.py",
        "AND (q.held OR q.run IS NOT NULL OR q.due_at <= mm_now())",
        "AND (q.held OR q.run IS NOT NULL)",
        "tests/integration/delivery/test_recovery.py::test_what_was_sent_since_the_backup_is_not_sent_again",
    ),
    Mutation(
        "an idempotency key is kept with the emails it accepted",
        "api/keeping.py",
        "before if isinstance(before, KeyTaken) else Receipt(tuple(before), replayed=True)",
        "before if isinstance(before, KeyTaken) else None",
        "tests/integration/api/test_emails.py::test_a_hundred_requests_at_once_with_one_key_make_one_email",
    ),
    Mutation(
        "an entry of a batch is known by its key",
        "api/keeping.py",
        "                answers[place][at] = replace(before[0], item=draft.item, replayed=True)\n",
        "                continue\n",
        "tests/integration/api/test_batches.py"
        "::test_an_entry_with_a_key_of_its_own_is_one_email_in_whatever_batch",
    ),
    Mutation(
        "an event waits for the end of its attempt",
        "db/repositories/inbound.py",
        "a.outcome IS NULL AS open",
        "false AS open",
        EVENTS + "test_an_event_that_comes_before_the_end_of_its_attempt_waits",
    ),
    Mutation(
        "an email that a worker holds is left to it",
        "db/repositories/inbound.py",
        "WHERE job_id = ANY(:jobs) AND run IS NULL",
        "WHERE job_id = ANY(:jobs)",
        EVENTS + "test_an_email_that_a_worker_holds_is_left_to_it",
    ),
    Mutation(
        "nobody's webhook speaks of others' emails",
        "db/repositories/inbound.py",
        "WHERE sent.kind = told.kind AND sent.user_id IS NOT DISTINCT FROM told.user_id",
        "WHERE true",
        EVENTS + "test_nobody_elses_webhook_speaks_of_an_email",
    ),
    Mutation(
        "a repeated event is known by its key",
        "providers/webhooks.py",
        "found.setdefault(key, InboundEvent(key, _cut(event), raw))",
        "found.setdefault(key, InboundEvent(f'{id(raw)}', _cut(event), raw))",
        HOOKS + "test_a_call_is_stored_as_it_came_and_a_repeat_is_not",
    ),
    Mutation(
        "what was signed long ago is not taken",
        "providers/sendgrid_webhook.py",
        "            lately(stamp, now, _REPEATS)\n",
        "",
        HOOKS + "test_sendgrids_signature_covers_the_raw_body_and_the_time",
    ),
    Mutation(
        "a nonce counts for one body",
        "api/posts.py",
        "unit.inbound.use_nonce(post.provider_id, *post.nonce)",
        "pass",
        HOOKS + "test_mailguns_token_counts_once",
    ),
    Mutation(
        "a repeat at Brevo is the same email",
        "providers/brevo.py",
        ' or self._code(response) == "duplicate_parameter"',
        "",
        "tests/contract/test_json_forms.py::test_the_same_attempt_twice_is_one_email_at_brevo",
    ),
    Mutation(
        "a call is made again only with the same bytes",
        "workers/repeats.py",
        "== (doubt.key, doubt.payload_hash, doubt.attempts)",
        "== (doubt.key, c.payload_hash, doubt.attempts)",
        CALLS + "test_a_call_that_would_no_longer_be_the_same_is_not_made",
    ),
    Mutation(
        "a call is not made again for an email that was tried again",
        "db/repositories/calls.py",
        "later.job_id = m.job_id AND later.id > m.attempt_id)",
        "later.job_id = m.job_id AND later.id > m.attempt_id AND false)",
        CALLS + "test_a_call_is_not_made_again_for_an_email_that_was_tried_again_since",
    ),
    Mutation(
        "a transactional email shares no call",
        "workers/sending.py",
        "Lane.TRANSACTIONAL: 1,",
        "Lane.TRANSACTIONAL: 50,",
        CALLS + "test_a_transactional_email_never_shares_a_call",
    ),
    Mutation(
        "an email that was taken for some recipients is not sent again",
        "providers/sparkpost.py",
        "if taken < 1 <= refused:",
        "if refused:",
        "tests/contract/test_json_answers.py",
    ),
    Mutation(
        "a success of Mailjet's may carry a failure",
        "providers/mailjet_answers.py",
        "if (failure := self._failure(response)) is not None:",
        "if (failure := None) is not None:",
        "tests/contract/test_json_answers.py",
    ),
    Mutation(
        "a body that is signed is looked at",
        "providers/webhook_proofs.py",
        '            hmac_hex(request.headers.get(self.signature, ""), key, request.body)\n',
        "",
        "tests/unit/providers/test_webhooks_of_json_providers.py",
    ),
    Mutation(
        "a provider carries only the headers that it can",
        "routing/eligibility.py",
        " and (can.only_headers is None or header in can.only_headers)",
        "",
        "tests/unit/routing/test_router.py",
    ),
]


Trials = dict[str, "Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """The chosen mutations' runs, two at a time: most of each is waiting for services to start."""
    chosen: list[Any] = [
        item.callspec.params["mutation"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == Path(__file__)
    ]
    with ThreadPoolExecutor(2) as pool:
        yield {m.mechanism: pool.submit(_try, m, tmp_path_factory.mktemp("tree")) for m in chosen}


def _try(mutation: Mutation, tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the mutation's test in a copy without the mechanism."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "celeryconfig.py"):
        shutil.copy(ROOT / file, tree / file)
    changed = tree / mutation.file
    source = changed.read_text()
    assert source.count(mutation.old) == 1, f"{mutation.file} has changed: adapt this mutation"
    changed.write_text(source.replace(mutation.old, mutation.new))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutation.test],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.mechanism.replace(" ", "_"))
def test_a_mechanism_that_is_taken_out_is_missed(mutation: Mutation, trials: Trials):
    run = trials[mutation.mechanism].result()
    assert run.returncode == 1, f"nothing noticed that this is gone: {mutation.mechanism}\n{run.stdout}"
    assert "failed" in run.stdout, run.stdout
