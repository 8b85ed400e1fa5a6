"""A silence of everything at once is a broken feed."""

from __future__ import annotations

from routing.feed import EventFeed


def test_events_that_are_owed_and_do_not_come_mean_a_broken_feed():
    feed = EventFeed()
    feed.event(100.0)
    assert not feed.owe(10.0, 101.0)
    assert feed.owe(10.0, 103.0)
    assert feed.down_since == 100.0


def test_one_event_pays_what_is_owed():
    feed = EventFeed()
    feed.event(100.0)
    feed.owe(15.0, 103.0)
    feed.event(104.0)
    assert not feed.owe(15.0, 108.0)


def test_a_feed_that_never_spoke_is_not_broken():
    assert not EventFeed().owe(1000.0, 50.0)


def test_several_events_bring_it_back_and_a_straggler_does_not():
    feed = EventFeed()
    feed.event(0.0)
    feed.owe(50.0, 10.0)
    feed.event(20.0)
    assert feed.down
    feed.event(500.0)
    feed.event(501.0)
    feed.event(502.0)
    assert not feed.down
