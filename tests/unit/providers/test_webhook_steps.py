"""What people are told of setting a webhook up is what its calls are proved by."""

from __future__ import annotations

import re

import pytest

from providers import registry
from providers.webhook_steps import STEPS
from providers.webhooks import BasicAuthSecret

OURS = {"memory"}  # nobody else calls it
KINDS = sorted(kind.name for kind in registry.kinds() if kind.WebhookSecret is not None)


def test_each_provider_with_a_webhook_has_its_steps_and_no_other_has() -> None:
    assert set(STEPS) == set(KINDS) - OURS


@pytest.mark.parametrize("kind", sorted(STEPS))
def test_the_steps_name_the_secret_that_proves_the_calls(kind: str) -> None:
    secret = registry.kind(kind).WebhookSecret
    assert secret is not None
    told = " ".join(STEPS[kind])
    assert "address below" in told
    named = set(re.findall(r"--secret (\w+)=", told))
    fields = set(secret.model_fields) - {"username", "password"}
    assert named <= fields, "a name that --secret does not take"
    required = {name for name in fields if secret.model_fields[name].is_required()}
    assert required <= named
    if not named:
        assert issubclass(secret, BasicAuthSecret)
        assert re.search(r"\buser\b.*\bpassword\b", told)
