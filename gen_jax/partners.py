"""Watch the other processes of a training, so that none waits for one that has ended.

Each process holds a connection to process 0, on which nothing is said but a farewell.
A connection that breaks without one tells at once that its process was killed; that of
a machine that is gone is noticed within 30 seconds. JAX's own client would wait for
one to two minutes and end with its stacks on standard error.
"""

import atexit
import os
import secrets
import socket
import sys
import threading
import time
from typing import NoReturn

import jax
import numpy as np

from gen_jax import console

EXIT_CODE = 4
_DONE, _FAILED = b".", b"!"  # farewells
_SECONDS_TO_CONNECT = 20.0
_SECONDS_TO_BREAK = 1.0  # a collective may fail before its process is known to be gone
_SECONDS_TO_FOLLOW = 5.0  # all processes fail alike, but not in the same moment

_connections: list[socket.socket] = []
_gone: list[bool] = []  # of each connection, whether its process has left
_leaving = threading.Event()


def watch() -> None:
    """Connect the processes, which have joined; every one calls this.

    A process that cannot be reached, as behind a firewall, is not watched.
    """
    if jax.process_index() == 0:
        _connections.extend(_accepted())
    else:
        _connections.extend(_connected(*_received("").split()))
    _gone.extend(False for _ in _connections)
    for number in range(len(_connections)):
        threading.Thread(target=_listen, args=(number,), daemon=True).start()
    atexit.register(_say, _DONE)


def leave(error: BaseException) -> None:
    """End the process because of an error, once the others know of it.

    error: with its exit code if it is a SystemExit. With code 0, or without processes
        to watch, this returns.
    """
    code = error.code if isinstance(error, SystemExit) else 1
    if not _connections or not code:
        return
    if not isinstance(error, SystemExit):
        time.sleep(_SECONDS_TO_BREAK)  # it may be that another process has ended
        sys.excepthook(type(error), error, error.__traceback__)
    _say(_FAILED)
    deadline = time.monotonic() + 2 * _SECONDS_TO_FOLLOW
    while not all(_gone) and time.monotonic() < deadline:
        time.sleep(0.01)
    os._exit(code if isinstance(code, int) else 1)  # JAX would wait for the others


def _say(farewell: bytes) -> None:
    _leaving.set()
    for connection in _connections:
        with console.unheard():
            connection.sendall(farewell)


def _listen(number: int) -> None:
    """Wait for the farewell of a process; end this one if there is none."""
    try:
        farewell = _connections[number].recv(1)
    except OSError:
        farewell = b""
    _gone[number] = True
    if farewell == _FAILED:
        time.sleep(_SECONDS_TO_FOLLOW)
    if farewell != _DONE and not _leaving.is_set():
        _end()


def _end() -> NoReturn:
    console.tell(
        "error: another process of this training has ended; start all of them again "
        "to resume from the last checkpoint"
    )
    os._exit(EXIT_CODE)


def _accepted() -> list[socket.socket]:
    """Return the connections of the other processes, by process 0."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    token = secrets.token_hex(8)
    with socket.create_server(("", 0), family=family, dualstack_ipv6=both) as server:
        _received(f"{server.getsockname()[1]} {token} {socket.gethostname()}")
        found: list[socket.socket] = []
        deadline = time.monotonic() + _SECONDS_TO_CONNECT
        while len(found) < jax.process_count() - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                connection, _ = server.accept()
            except OSError:  # the others cannot reach this machine
                break
            if _knows(token, connection):
                found.append(_kept(connection))
            else:
                connection.close()
    return found


def _knows(token: str, connection: socket.socket) -> bool:
    connection.settimeout(1.0)
    try:
        found = connection.recv(len(token), socket.MSG_WAITALL)
    except OSError:
        return False
    return found == token.encode()


def _connected(port: str, token: str, host: str) -> list[socket.socket]:
    """Return this process's connection to process 0, if that can be reached."""
    coordinator = os.environ.get("JAX_COORDINATOR_ADDRESS", "").rpartition(":")[0]
    for name in filter(None, (coordinator.strip("[]"), host)):
        try:
            connection = socket.create_connection((name, int(port)), 5.0)
            connection.sendall(token.encode())
        except OSError:
            continue
        return [_kept(connection)]
    return []


def _kept(connection: socket.socket) -> socket.socket:
    """Return a connection that waits without limit, while its other end is there."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("KEEPIDLE", 10), ("KEEPINTVL", 5), ("KEEPCNT", 3)):
        if (option := getattr(socket, f"TCP_{name}", None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, seconds)
    return connection


def _received(text: str) -> str:
    """Return the text of process 0 in every process."""
    from jax.experimental import multihost_utils

    sent = np.frombuffer(text.encode().ljust(256)[:256], np.uint8)
    return bytes(multihost_utils.broadcast_one_to_all(sent)).decode().strip()
