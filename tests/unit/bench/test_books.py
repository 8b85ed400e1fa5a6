"""The account of the faults harness: what is planted in the books is found."""

from __future__ import annotations

from bench.faults.books import (
    BOTH,
    FILE,
    PLAIN,
    SHAPES,
    TEMPLATE,
    Attempt,
    Books,
    Content,
    Received,
    Verdict,
    by_shape,
    reconcile,
    share_out_doubts,
)
from bench.faults.load import an_email, content_of


def books(
    statuses: dict[str, str],
    received: list[Received],
    attempts: list[Attempt],
    resends: tuple[str, ...] = (),
    **accepted: list[str],
) -> Verdict:
    return reconcile(Books(accepted or {e: [e] for e in statuses}, received, statuses, attempts, resends))


def sent_once(email: str = "e") -> tuple[dict[str, str], list[Received], list[Attempt]]:
    return {email: "sent"}, [Received(email, "a")], [Attempt("a", email, "accepted")]


def test_an_email_that_was_sent_once_is_in_order() -> None:
    verdict = books(*sent_once())
    assert verdict.counts() == {
        "accepted": 1,
        "lost": 0,
        "unknown": 0,
        "duplicates": 0,
        "unexplained_duplicates": 0,
        "phantoms": 0,
        "mangled": 0,
    }
    assert (verdict.sent, verdict.moving) == (1, [])


def test_an_accepted_email_without_a_row_is_lost() -> None:
    assert books({}, [], [], n1=["gone"]).lost == ["gone"]


def test_an_email_that_says_sent_and_was_not_received_is_lost() -> None:
    assert books({"e": "sent"}, [], [Attempt("a", "e", "accepted")]).lost == ["e"]


def test_what_failed_or_is_unknown_is_not_lost() -> None:
    verdict = books({"f": "failed", "u": "unknown"}, [], [Attempt("a", "u", "unknown")])
    assert (verdict.lost, verdict.unknown) == ([], ["u"])


def test_what_still_moves_is_said_and_not_called_lost() -> None:
    verdict = books({"q": "queued", "d": "deferred"}, [], [])
    assert (verdict.moving, verdict.lost) == (["d", "q"], [])


def test_a_second_copy_needs_a_doubt_in_the_ledger_and_leave_to_send_again() -> None:
    twice = [Received("e", "a"), Received("e", "b")]
    doubted = [Attempt("a", "e", "unknown"), Attempt("b", "e", "accepted")]
    certain = [Attempt("a", "e", "not_sent"), Attempt("b", "e", "accepted")]
    for attempts, resends, unexplained in (
        (doubted, ("e",), []),
        (doubted, (), ["e"]),  # it should have been held
        (certain, ("e",), ["e"]),
    ):
        verdict = books({"e": "sent"}, twice, attempts, resends)
        assert (verdict.duplicates, verdict.unexplained) == (["e"], unexplained)


def test_what_was_received_and_says_that_it_failed_is_a_falsehood() -> None:
    verdict = books({"e": "failed"}, [Received("e", "a")], [Attempt("a", "e", "not_sent")])
    assert verdict.unexplained == ["e"]


def test_a_number_with_two_emails_was_accepted_twice() -> None:
    statuses = {"e": "sent", "f": "sent"}
    received = [Received("e", "a"), Received("f", "b")]
    attempts = [Attempt("a", "e", "accepted"), Attempt("b", "f", "accepted")]
    verdict = books(statuses, received, attempts, n1=["e", "f"])
    assert (verdict.accepted_twice, verdict.unexplained) == (["n1"], ["f"])
    assert books(statuses, received, attempts, n1=["e", "e"], n2=["f"]).accepted_twice == []


def test_a_received_attempt_without_its_line_in_the_ledger_is_a_phantom() -> None:
    statuses, received, attempts = sent_once()
    assert books(statuses, [*received, Received("e", "ghost")], attempts).phantoms == ["ghost"]
    assert books(statuses, received, [Attempt("a", "other", "accepted")]).phantoms == ["a"]


def test_a_copy_that_the_ledger_calls_unsent_is_not_explained_by_a_doubt_about_another() -> None:
    received = [Received("e", "a"), Received("e", "b")]
    attempts = [Attempt("a", "e", "not_sent"), Attempt("b", "e", "accepted"), Attempt("c", "e", "unknown")]
    assert books({"e": "sent"}, received, attempts, ("e",)).unexplained == ["e"]


def test_an_attempt_that_arrived_twice_is_explained_by_nothing() -> None:
    received = [Received("e", "a"), Received("e", "a")]
    assert books({"e": "unknown"}, received, [Attempt("a", "e", "unknown")], ("e",)).unexplained == ["e"]


def test_an_email_that_the_client_was_never_told_of_is_a_second_one() -> None:
    statuses, received, attempts = sent_once()
    verdict = books(
        statuses | {"twin": "sent"},
        [*received, Received("twin", "b")],
        [*attempts, Attempt("b", "twin", "accepted")],
        n1=["e"],
    )
    assert (verdict.unasked, verdict.unexplained) == (["twin"], ["twin"])


def test_doubts_belong_to_the_fault_in_whose_time_the_attempt_was_opened() -> None:
    def attempt(opened: float, outcome: str | None = "unknown") -> Attempt:
        return Attempt("a", "e", outcome, opened)

    begins = [100.0, 200.0]
    assert share_out_doubts([attempt(150.0), attempt(199.5), attempt(250.0)], begins, [5, 5]) == [2, 1]
    assert share_out_doubts([attempt(50.0)], begins, [5, 5]) == [1, 0]
    assert share_out_doubts([attempt(150.0, "accepted"), attempt(150.0, None)], begins, [5, 5]) == [0, 0]
    # Opened in the time of a fault that explains nothing, and open still when the next one struck:
    assert share_out_doubts([attempt(199.5)], begins, [0, 5]) == [0, 1]
    assert share_out_doubts([attempt(198.5)], begins, [0, 5]) == [1, 0]
    assert share_out_doubts([attempt(199.5)], begins, [0, 0]) == [1, 0]


def test_each_shape_has_an_account_of_its_own() -> None:
    contents = {
        "lost": Content(FILE, "s", ("h",)),
        "doubt": Content(TEMPLATE, "s"),
        "fine": Content(BOTH, "s", ("h",)),
    }
    found = by_shape(
        Books(
            {"n1": ["lost"], "n2": ["doubt"], "n3": ["fine"], "n4": ["words"]},
            [Received("fine", "a", "s", ("h",)), Received("words", "b"), Received("words", "ghost")],
            {"lost": "sent", "doubt": "unknown", "fine": "sent", "words": "sent", "twin": "sent"},
            [Attempt("a", "fine", "accepted"), Attempt("b", "words", "accepted")],
            contents=contents,
        )
    )
    assert found[FILE].lost == ["lost"]
    assert found[TEMPLATE].unknown == ["doubt"]
    assert (found[BOTH].sent, sum(found[BOTH].counts().values())) == (1, 1)
    assert (found[PLAIN].phantoms, found[PLAIN].unasked, found[PLAIN].lost) == (["ghost"], ["twin"], [])
    assert list(by_shape(Books({"n1": ["fine"]}, [], {"fine": "sent"}, [], contents=contents))) == [BOTH]


def test_an_email_that_came_without_its_file_or_with_another_subject_is_mangled() -> None:
    statuses, _, attempts = sent_once()
    for received, mangled in (
        (Received("e", "a", "Number 1", ("h",)), []),
        (Received("e", "a", "Number 1"), ["e"]),
        (Received("e", "a", "Number 1", ("other",)), ["e"]),
        (Received("e", "a", "Number {{ number }}", ("h",)), ["e"]),
    ):
        contents = {"e": Content(BOTH, "Number 1", ("h",))}
        verdict = reconcile(Books({"n1": ["e"]}, [received], statuses, attempts, contents=contents))
        assert verdict.mangled == mangled


def test_the_load_is_of_the_shapes_that_are_asked_for() -> None:
    numbers = [f"n{n}" for n in range(200)]
    for asked in ((FILE,), (TEMPLATE, FILE), (BOTH,), ()):
        made = {content_of(n, an_email(n, asked)).shape for n in numbers}
        assert made == set(asked or SHAPES)
    files = {content_of(n, an_email(n, (FILE,))).files for n in numbers}
    assert len(files) > 50, "some have one of their own"
    assert len(files) < 150, "and some share one"
