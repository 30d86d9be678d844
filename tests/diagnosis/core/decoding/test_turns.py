import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from diagnosis.core.decoding.turns import Turns
from diagnosis.core.errors import DecodersBusyError

PATIENCE_S = 120.0


class _Visitor:
    """A thread that takes a turn, says so, and stays until told to go."""

    def __init__(self, turns: Turns, weight: int, order: list[int]) -> None:
        self.inside, self.may_go = threading.Event(), threading.Event()
        self.weight = weight

        def visit() -> None:
            with turns.turn(weight, PATIENCE_S):
                order.append(weight)
                self.inside.set()
                assert self.may_go.wait(PATIENCE_S)

        self.thread = threading.Thread(target=visit)
        self.thread.start()

    def leave(self) -> None:
        """End the turn."""
        self.may_go.set()
        self.thread.join(PATIENCE_S)


def _until(condition: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it did not happen")


def test_as_many_enter_as_their_weights_allow() -> None:
    turns = Turns(10, 100, places=9)
    with turns.turn(4, 0), turns.turn(6, 0), pytest.raises(DecodersBusyError), turns.turn(1, 0):
        pass
    with turns.turn(10, 0):
        pass


def test_what_weighs_more_than_all_enters_alone() -> None:
    turns = Turns(10, 100, places=9)
    with turns.turn(50, 0), pytest.raises(DecodersBusyError), turns.turn(1, 0):
        pass
    with turns.turn(1, 0), pytest.raises(DecodersBusyError), turns.turn(50, 0):
        pass


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns(1, 100, places=9)
    with pytest.raises(ZeroDivisionError), turns.turn(1, 0):
        raise ZeroDivisionError
    with turns.turn(1, 0):
        pass


def test_light_ones_do_not_overtake_a_heavy_one_for_ever() -> None:
    turns, order = Turns(10, 100, places=9), list[int]()
    first = _Visitor(turns, 6, order)
    assert first.inside.wait(PATIENCE_S)
    heavy = _Visitor(turns, 8, order)
    _until(lambda: len(turns._waiting) == 1)
    light = _Visitor(turns, 2, order)  # would fit beside the first
    _until(lambda: len(turns._waiting) == 2)
    assert order == [6]
    first.leave()
    assert heavy.inside.wait(PATIENCE_S)
    assert light.inside.wait(PATIENCE_S)
    heavy.leave()
    light.leave()
    assert sorted(order) == [2, 6, 8]


def test_who_gives_up_makes_room_for_who_stands_behind() -> None:
    turns, order = Turns(10, 100, places=9), list[int]()
    with ExitStack() as stack:
        stack.enter_context(turns.turn(6, 0))
        with pytest.raises(DecodersBusyError):
            stack.enter_context(turns.turn(8, 0.01))
        light = _Visitor(turns, 2, order)
        assert light.inside.wait(PATIENCE_S)
        light.leave()


def test_who_would_wait_behind_too_much_is_turned_away_at_once() -> None:
    turns, order = Turns(10, 20, places=9), list[int]()
    with turns.turn(10, 0):
        waiting = _Visitor(turns, 6, order)
        _until(lambda: len(turns._waiting) == 1)
        with pytest.raises(DecodersBusyError), turns.turn(5, PATIENCE_S):
            pass
        light = _Visitor(turns, 4, order)
        _until(lambda: len(turns._waiting) == 2)
    assert waiting.inside.wait(PATIENCE_S)
    waiting.leave()
    light.leave()
    with turns.turn(30, 0):
        pass


def test_alone_means_alone_whatever_it_weighs() -> None:
    turns = Turns(10, 100, places=9, alone=True)
    with turns.turn(1, 0), pytest.raises(DecodersBusyError), turns.turn(1, 0):
        pass
    with turns.turn(1, 0):
        pass


def test_no_more_wait_than_there_are_places() -> None:
    turns, order = Turns(10, 100, places=2, alone=True), list[int]()
    with turns.turn(1, 0):
        waiting = _Visitor(turns, 1, order)
        _until(lambda: len(turns._waiting) == 1)
        with pytest.raises(DecodersBusyError), turns.turn(1, PATIENCE_S):
            pass
    assert waiting.inside.wait(PATIENCE_S)
    waiting.leave()
