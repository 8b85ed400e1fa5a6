"""What share a mailbox host takes in the end, per provider and group."""

from __future__ import annotations

import pytest

from routing.delivery_model import DeliveryModel
from tests.builders import chance


def fed(model, provider, group, share, count, start=0.0, step=0.1, seed=1):
    rng = chance(seed)
    for i in range(count):
        model.event(provider, group, rng.random() < share, start + i * step)
        if i % 50 == 0:
            model.refresh(start + i * step)
    model.refresh(start + count * step)


def test_nothing_known_is_the_prior_with_a_wide_doubt():
    belief = DeliveryModel(2, 3).of(1, 2)
    assert belief.chance == pytest.approx(0.98)
    assert belief.spread > 0.02


def test_a_cell_with_many_events_is_believed_by_itself():
    model = DeliveryModel(2, 2)
    fed(model, 0, 0, 0.90, 3000)
    assert model.of(0, 0).chance == pytest.approx(0.90, abs=0.02)
    assert model.of(0, 0).spread < 0.01


def test_a_cell_without_events_leans_on_its_provider_and_its_group():
    model = DeliveryModel(2, 2)
    fed(model, 0, 0, 0.99, 3000)
    fed(model, 0, 1, 0.90, 3000)
    fed(model, 1, 0, 0.99, 3000)
    assert model.of(1, 1).chance < model.of(1, 0).chance


def test_a_recent_change_of_the_whole_provider_shows_in_all_its_groups():
    model = DeliveryModel(1, 2)
    fed(model, 0, 0, 0.99, 5000)
    fed(model, 0, 1, 0.99, 500, start=500)
    before = model.of(0, 1).chance
    fed(model, 0, 0, 0.80, 600, start=600)
    assert model.of(0, 1).chance < before - 0.015


def test_old_events_fade():
    model = DeliveryModel(1, 1)
    fed(model, 0, 0, 0.5, 500)
    model.refresh(10 * 86_400.0)
    assert model.of(0, 0).chance == pytest.approx(0.98, abs=0.005)


@pytest.mark.parametrize(
    ("shares", "count", "poor"),
    [
        ((0.98, 0.98), 300, ()),
        ((0.88, 0.88), 300, ()),
        ((0.3, 0.3), 300, (0, 1)),
        ((0.98, 0.3), 600, (1,)),
        ((0.3, 0.3), 10, ()),
    ],
)
def test_poor_is_what_would_be_trouble_if_it_were_new(shares, count, poor):
    model = DeliveryModel(2, 2)
    for group, share in enumerate(shares):
        fed(model, 0, group, share, count)
    assert model.poor(0) == poor
    assert model.poor(1) == ()


def test_what_is_forgotten_is_as_if_it_had_never_been_seen():
    model = DeliveryModel(1, 2)
    fed(model, 0, 0, 0.3, 300)
    fed(model, 0, 1, 0.3, 300)
    model.forget(0, (0, 1), 40.0)
    assert [model.of(0, g).chance for g in (0, 1)] == pytest.approx([0.98, 0.98], abs=0.005)
    assert model.poor(0) == ()
