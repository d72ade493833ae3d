"""Processes that train together notice the end of each other."""

import socket
import threading
import time

import pytest

from gen_jax import watchdog

LINE = "error: another process of this training has ended; start all of them again"


class Ended(BaseException):
    """In place of the end of this process."""


@pytest.fixture
def other(monkeypatch):
    """The other end of this process's one connection."""
    mine, others = socket.socketpair()
    monkeypatch.setattr(watchdog, "_connections", [mine])
    monkeypatch.setattr(watchdog, "_ended", [False])
    monkeypatch.setattr(watchdog, "_leaving", threading.Event())
    monkeypatch.setattr(watchdog, "_SECONDS_TO_FOLLOW", 0.1)
    monkeypatch.setattr(watchdog, "_SECONDS_TO_BREAK", 0.0)

    def ended(code):
        raise Ended(code)

    monkeypatch.setattr("os._exit", ended)
    yield others
    mine.close()
    others.close()


def test_a_killed_process_ends_the_other_with_a_line(other, capsys):
    other.close()
    with pytest.raises(Ended) as ended:
        watchdog._listen(0)
    assert ended.value.args == (4,)
    assert capsys.readouterr().err.startswith(LINE)


def test_a_process_that_failed_leaves_time_to_fail_alike(other, capsys):
    other.sendall(b"!")
    begun = time.monotonic()
    with pytest.raises(Ended):
        watchdog._listen(0)
    assert time.monotonic() - begun >= 0.1
    assert capsys.readouterr().err.startswith(LINE)
    other.sendall(b"!")
    watchdog._leaving.set()  # as `leave` does
    watchdog._listen(0)


def test_a_process_that_is_done_ends_no_other(other, capsys):
    other.sendall(b".")
    watchdog._listen(0)
    assert watchdog._ended == [True]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code"), [(SystemExit(3), 3), (SystemExit("x"), 1), (KeyError("y"), 1)]
)
def test_an_error_is_sent_and_printed_before_the_end(error, code, other, capsys):
    with pytest.raises(Ended) as ended:
        watchdog.leave(error)
    assert ended.value.args == (code,)
    assert other.recv(1) == b"!"
    assert ("KeyError" in capsys.readouterr().err) == isinstance(error, KeyError)


def test_success_and_a_process_alone_just_end(other, monkeypatch):
    watchdog.leave(SystemExit(0))
    watchdog.leave(SystemExit(None))
    monkeypatch.setattr(watchdog, "_connections", [])
    watchdog.leave(SystemExit(2))


def test_a_connection_without_the_token_is_refused(monkeypatch):
    sent = []

    def broadcast(text):
        sent.append(text)
        port, token, _ = text.split()
        for word in (b"GET / HTTP/1.1\r\n\r\n", token.encode()):
            threading.Thread(target=send, args=(int(port), word)).start()
            time.sleep(0.05)
        return text

    def send(port, word):
        connection = socket.create_connection(("localhost", port))
        connection.sendall(word)
        ends.append(connection)

    ends = []
    monkeypatch.setattr(watchdog, "_broadcast", broadcast)
    monkeypatch.setattr("jax.process_count", lambda: 2)
    [taken] = watchdog._accept_all()
    assert sent
    ends[1].sendall(b".")
    assert taken.recv(1) == b"."
    for each in (taken, *ends):
        each.close()
