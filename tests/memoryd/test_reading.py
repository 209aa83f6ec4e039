"""Who reads files, and who has that to themselves."""

from __future__ import annotations

import threading

import pytest

from memoryd.ingest import StoppingError
from memoryd.reading import Reading
from tests.waiting import until

LIMIT_S = 30.0


@pytest.fixture
def reading() -> Reading:
    return Reading()


def wanting(reading: Reading, held: threading.Event) -> threading.Thread:
    """Somebody who wants it alone, and has it until the event."""

    def want() -> None:
        with reading.alone():
            held.wait(LIMIT_S)

    thread = threading.Thread(target=want)
    thread.start()
    return thread


def broken_off(reading: Reading) -> bool:
    try:
        reading.go_on()
    except StoppingError:
        return True
    return False


def test_a_read_goes_on_while_nobody_wants_it_alone(reading: Reading) -> None:
    with reading.of_files():
        reading.go_on()


def test_a_read_is_broken_off_for_whoever_wants_it_alone(reading: Reading) -> None:
    done = threading.Event()
    with reading.of_files():
        thread = wanting(reading, done)
        until(lambda: broken_off(reading))
        # What is read within it is broken off too, and does not wait for whoever waits for it.
        with reading.of_files(), pytest.raises(StoppingError):
            reading.go_on()
    done.set()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    with reading.of_files():
        reading.go_on()


def test_the_next_read_waits_until_it_is_given_back(reading: Reading) -> None:
    steps: list[str] = []

    def read() -> None:
        with reading.of_files():
            steps.append("read")

    with reading.alone():
        thread = threading.Thread(target=read)
        thread.start()
        thread.join(0.2)
        steps.append("alone")
    thread.join(LIMIT_S)
    assert steps == ["alone", "read"]


def test_who_wants_it_goes_before_the_next_read(reading: Reading) -> None:
    steps: list[str] = []
    begun = threading.Event()

    def read_twice() -> None:
        with reading.of_files():
            begun.set()
            until(lambda: broken_off(reading))
        with reading.of_files():
            steps.append("read again")

    reader = threading.Thread(target=read_twice)
    reader.start()
    assert begun.wait(LIMIT_S)
    with reading.alone():
        steps.append("alone")
    reader.join(LIMIT_S)
    assert steps == ["alone", "read again"]


def test_two_who_want_it_have_it_one_after_the_other(reading: Reading) -> None:
    inside: list[int] = []
    most: list[int] = []

    def take() -> None:
        with reading.alone():
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert most == [1] * 8


def test_a_fault_gives_it_back(reading: Reading) -> None:
    with pytest.raises(ValueError, match="no disk"), reading.alone():
        raise ValueError("no disk")
    with pytest.raises(ValueError, match="no disk"), reading.of_files():
        raise ValueError("no disk")
    with reading.alone():
        pass
