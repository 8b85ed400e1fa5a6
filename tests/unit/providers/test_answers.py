"""An answer is freed as soon as nobody needs it, whatever became of it."""

from __future__ import annotations

import gc
from contextlib import suppress
from http.client import HTTPException

import pytest

from providers.answers import Answer, AnswerTooLarge

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"x" * 1000,),
        (HEAD, b"x" * 999),
        (HEAD, b"x", b""),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000,),
        (b"what?\r\n\r\n",),
    ],
    ids=["whole", "not whole", "broken off", "too large", "rubbish"],
)
def test_an_answer_leaves_no_work_to_the_collector(pieces: tuple[bytes, ...]) -> None:
    """It looks only after many thousands of objects: a provider's long pages of errors would add up to gigabytes."""

    def left() -> int:
        gc.collect()
        gc.disable()
        try:
            answer = Answer(largest=1500)
            with suppress(HTTPException, AnswerTooLarge):
                for piece in pieces:
                    answer.feed(piece)
            del answer
            return gc.collect()
        finally:
            gc.enable()

    assert min(left() for _ in range(5)) == 0, "what other threads leave is not left each time"
