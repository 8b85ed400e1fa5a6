"""pymap, with XOAUTH2 beside PLAIN and LOGIN: a token that stands in the file of the first argument signs in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymap.main import main
from pysasl import SASLAuth
from pysasl.creds.plain import PlainCredentials
from pysasl.mechanism import ChallengeResponse
from pysasl.mechanism.login import LoginMechanism
from pysasl.mechanism.oauth import OAuth2Mechanism
from pysasl.mechanism.plain import PlainMechanism


class Tokens(OAuth2Mechanism):
    """A known token stands for the password."""

    def __init__(self, known: Path, password: str) -> None:
        super().__init__()
        self._known, self._password = known, password

    def server_attempt(self, responses: Sequence[ChallengeResponse]) -> Any:
        creds, _ = super().server_attempt(responses)
        known = creds._token in self._known.read_text().split()
        return PlainCredentials(creds.authzid, self._password if known else ""), None


if __name__ == "__main__":
    tokens = Tokens(Path(sys.argv.pop(1)), sys.argv[sys.argv.index("--demo-password") + 1])
    mechanisms: list[Any] = [PlainMechanism(), LoginMechanism(), tokens]
    SASLAuth.defaults = classmethod(lambda cls: cls(mechanisms))  # type: ignore[method-assign,assignment]
    main()
