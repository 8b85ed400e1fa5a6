"""The learner's view as it is written down, in an upgrade too: old and new processes read each other's."""

from __future__ import annotations

import json
from uuid import UUID

from db.news import dump_view, load_view
from routing.index import Worth
from routing.news import View
from routing.worths import URGENT_WAIT, WAIT

OWNER = UUID(int=7)
WORTHS = {
    (None, "otp"): Worth(100.0, URGENT_WAIT, urgent=True),
    (OWNER, "otp"): Worth(20.0, WAIT),
    (None, "newsletter"): Worth(5.0, 0.0, steady=True),
    (None, "receipt"): Worth(20.0, 2 * URGENT_WAIT),  # what is owed to it makes its seconds dear
}


def test_a_view_is_read_as_it_was_written() -> None:
    view = View(3, 1.5, worths=WORTHS)
    assert load_view(dump_view(view)) == view


def test_what_the_version_before_wrote_of_urgent_emails_keeps_them_from_being_probes() -> None:
    old = json.loads(dump_view(View(3, 1.5, worths=WORTHS)))
    del old["urgent"]
    read = load_view(json.dumps(old)).worths
    assert read[None, "otp"].urgent
    assert not read[OWNER, "otp"].urgent
    assert not read[None, "newsletter"].urgent


def test_the_version_before_reads_what_each_email_is_worth() -> None:
    """It gave all that stands behind a type's name to a Worth of three values."""
    values = json.loads(dump_view(View(3, 1.5, worths=WORTHS)))
    before = {(owner and UUID(hex=owner), name): worth for owner, name, *worth in values["worths"]}
    assert before == {place: [w.value, w.wait, w.steady] for place, w in WORTHS.items()}
