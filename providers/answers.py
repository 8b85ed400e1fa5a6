"""One HTTP/1.1 answer, read as it comes (RFC 9112). The parser is llhttp's; where an answer ends, and whether it broke
off, is decided here.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httptools

LARGEST_ANSWER = 1_048_576  # bytes; a provider's answer has a few hundred
LARGEST_LIST = 64 * LARGEST_ANSWER  # of what is asked for by people, and seldom
_FIRST_FINAL = 200  # a lower status only announces another one (RFC 9110, 15.2)


class AnswerTooLarge(Exception):
    """The provider sent more than may be."""


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` by lower-case name, the last of equals. `body` is whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Answer:
    """Feed it until it is `complete`. `reusable`: whether another request may follow on its connection.

    `largest`: bytes that its body may have.
    """

    __slots__ = ("_fed", "_largest", "_parser", "_told")

    def __init__(self, largest: int = LARGEST_ANSWER) -> None:
        self._largest, self._told = largest, _Told(largest)
        parser = httptools.HttpResponseParser(self._told)
        # Some servers end lines with LF alone, and some close although they said more: neither hides an answer.
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_data_after_close=True)
        self._parser = parser
        self._fed = 0

    @property
    def complete(self) -> bool:
        return self._told.complete

    @property
    def reusable(self) -> bool:
        return self._told.reusable

    def feed(self, data: bytes) -> None:
        """What the connection brought; nothing where it has ended.

        Raises AnswerTooLarge, or an http.client.HTTPException where this is no answer, or no whole one.
        """
        if not data:
            self._end()
            return
        told = self._told
        self._fed += len(data)
        told.parser = self._parser
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            told.reusable = False
            if not told.complete and not self._too_large():
                raise http.client.BadStatusLine("not HTTP") from error
        finally:
            told.parser = None
        if self._too_large():
            raise AnswerTooLarge

    def response(self) -> Response:
        told = self._told
        return Response(told.status, told.headers, b"".join(told.body))

    def _too_large(self) -> bool:
        """An eighth more is for the head, and for what chunks add."""
        return self._told.size > self._largest or self._fed > self._largest + self._largest // 8

    def _end(self) -> None:
        if not self._fed:
            raise http.client.RemoteDisconnected("no answer")
        told = self._told
        by_close = told.status and not (
            "content-length" in told.headers or "transfer-encoding" in told.headers
        )
        if not by_close:
            raise http.client.IncompleteRead(b"")
        told.complete, told.reusable = True, False


class _Told:
    """What the parser tells of an answer. It knows the parser only while that reads: the two holding each other, a body
    would stay until Python looks for cycles, which it does after thousands of them.
    """

    __slots__ = ("_largest", "body", "complete", "headers", "parser", "reusable", "size", "status")

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self.parser: Any = None
        self.size = self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.complete = self.reusable = False

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= _FIRST_FINAL:
            self.status = status

    def on_body(self, body: bytes) -> None:
        self.size += len(body)
        if self.size > self._largest:
            raise AnswerTooLarge
        self.body.append(body)

    def on_message_complete(self) -> None:
        if self.status:
            self.complete, self.reusable = True, self.parser.should_keep_alive()
        else:
            self.headers = {}
