"""Processes that train together notice the end of each other."""

import socket
import threading
import time

import pytest

from gen_jax import partners

LINE = "error: another process of this training has ended; start all of them again"


class Ended(BaseException):
    """In place of the end of this process."""


@pytest.fixture
def other(monkeypatch):
    """The other end of this process's one connection."""
    mine, others = socket.socketpair()
    monkeypatch.setattr(partners, "_connections", [mine])
    monkeypatch.setattr(partners, "_gone", [False])
    monkeypatch.setattr(partners, "_leaving", threading.Event())
    monkeypatch.setattr(partners, "_SECONDS_TO_FOLLOW", 0.1)
    monkeypatch.setattr(partners, "_SECONDS_TO_BREAK", 0.0)

    def ended(code):
        raise Ended(code)

    monkeypatch.setattr("os._exit", ended)
    yield others
    mine.close()
    others.close()


def test_a_killed_process_ends_the_other_with_a_line(other, capsys):
    other.close()
    with pytest.raises(Ended) as ended:
        partners._listen(0)
    assert ended.value.args == (4,)
    assert capsys.readouterr().err.startswith(LINE)


def test_a_process_that_failed_leaves_time_to_fail_alike(other, capsys):
    other.sendall(b"!")
    begun = time.monotonic()
    with pytest.raises(Ended):
        partners._listen(0)
    assert time.monotonic() - begun >= 0.1
    assert capsys.readouterr().err.startswith(LINE)
    other.sendall(b"!")
    partners._leaving.set()  # as `leave` does
    partners._listen(0)


def test_a_process_that_is_done_ends_no_other(other, capsys):
    other.sendall(b".")
    partners._listen(0)
    assert partners._gone == [True]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code"), [(SystemExit(3), 3), (SystemExit("x"), 1), (KeyError("y"), 1)]
)
def test_an_error_is_told_before_the_end(error, code, other, capsys):
    with pytest.raises(Ended) as ended:
        partners.leave(error)
    assert ended.value.args == (code,)
    assert other.recv(1) == b"!"
    assert ("KeyError" in capsys.readouterr().err) == isinstance(error, KeyError)


def test_success_and_a_process_alone_just_end(other, monkeypatch):
    partners.leave(SystemExit(0))
    partners.leave(SystemExit(None))
    monkeypatch.setattr(partners, "_connections", [])
    partners.leave(SystemExit(2))


def test_only_who_knows_the_token_is_taken_for_a_process(monkeypatch):
    told = []

    def received(text):
        told.append(text)
        port, token, _ = text.split()
        for word in (b"GET / HTTP/1.1\r\n\r\n", token.encode()):
            threading.Thread(target=say, args=(int(port), word)).start()
            time.sleep(0.05)
        return text

    def say(port, word):
        connection = socket.create_connection(("localhost", port))
        connection.sendall(word)
        ends.append(connection)

    ends = []
    monkeypatch.setattr(partners, "_received", received)
    monkeypatch.setattr("jax.process_count", lambda: 2)
    [taken] = partners._accepted()
    assert told
    ends[1].sendall(b".")
    assert taken.recv(1) == b"."
    for each in (taken, *ends):
        each.close()
