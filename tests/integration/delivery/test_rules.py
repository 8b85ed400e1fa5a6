"""Emails go by the rule that fits them, as the database has it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, text

from db import models
from tests.builders import a_submission, new_id
from tests.integration.delivery.conftest import House


@pytest.mark.parametrize(
    ("condition", "named", "other"),
    [
        ({"tag": "invoice"}, {"tags": ("eu", "invoice")}, {"tags": ("eu",)}),
        ({"recipient_domain": "gmail.com"}, {"to": ("ada@gmail.com",)}, {"to": ("ada@firm.example",)}),
    ],
)
def test_an_email_goes_by_the_rule_of_its_tag_or_its_recipients_domain(
    house: House, condition: dict[str, Any], named: dict[str, Any], other: dict[str, Any]
) -> None:
    cheap, dear = house.provider("cheap", "0.0001"), house.provider("dear", "0.0020")
    rule = {"id": new_id(), **condition}
    with house.engine.begin() as connection:
        found = connection.execute(text("SELECT id FROM providers WHERE name = 'dear'")).scalar_one()
        connection.execute(insert(models.RoutingRule), rule | {"default_provider": found})
    by_rule, free = house.accept(a_submission(**named), a_submission(**other))
    house.drain()  # both in one claim, and so with one memory
    assert (len(cheap.calls), len(dear.calls)) == (1, 1)
    decided = {
        row.job_id: row.decision for row in house.all("SELECT job_id, decision FROM delivery_attempts")
    }
    assert (decided[by_rule]["chosen"], decided[by_rule]["rule"]) == ("dear", str(rule["id"]))
    assert (decided[free]["chosen"], decided[free]["rule"]) == ("cheap", None)
