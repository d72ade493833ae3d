"""Watch the other processes of a training, so that none waits for one that has ended.

Each process holds a connection to process 0 and sends one message on it, before it
ends. A connection that closes without a message means that its process was killed. If
a machine is gone, TCP's keepalive closes the connection within 30 seconds. JAX's own
client would wait for one to two minutes and then print tracebacks.
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
_DONE, _FAILED = b".", b"!"  # the messages
_SECONDS_TO_CONNECT = 20.0
_SECONDS_TO_BREAK = 1.0  # a collective may fail before its process is known to be gone
_SECONDS_TO_FOLLOW = 5.0  # for an error that all processes raise, each at its own time

_connections: list[socket.socket] = []
_ended: list[bool] = []  # of each connection, whether its process has left
_leaving = threading.Event()


def watch() -> None:
    """Connect the processes of a training; each of them calls this after joining.

    A process that cannot be reached, for example behind a firewall, is not watched.
    """
    if jax.process_index() == 0:
        _connections.extend(_accept_all())
    else:
        _connections.extend(_connect(*_broadcast("").split()))
    _ended.extend(False for _ in _connections)
    for number in range(len(_connections)):
        threading.Thread(target=_listen, args=(number,), daemon=True).start()
    atexit.register(_send_to_all, _DONE)


def leave(error: BaseException) -> None:
    """Send the error to the other processes, then end this one.

    error: gives the exit code if it is a SystemExit. With code 0, or without processes
        to watch, this returns.
    """
    code = error.code if isinstance(error, SystemExit) else 1
    if not _connections or not code:
        return
    if not isinstance(error, SystemExit):
        time.sleep(_SECONDS_TO_BREAK)  # the cause may be another process that ended
        sys.excepthook(type(error), error, error.__traceback__)
    _send_to_all(_FAILED)
    deadline = time.monotonic() + 2 * _SECONDS_TO_FOLLOW
    while not all(_ended) and time.monotonic() < deadline:
        time.sleep(0.01)
    # Not sys.exit, in which JAX would wait for the others.
    os._exit(code if isinstance(code, int) else 1)


def _send_to_all(message: bytes) -> None:
    _leaving.set()
    for connection in _connections:
        with console.ignore_closed_output():
            connection.sendall(message)


def _listen(number: int) -> None:
    """Wait for the message of a process; end this one unless the message is _DONE."""
    try:
        message = _connections[number].recv(1)
    except OSError:
        message = b""
    _ended[number] = True
    if message == _FAILED:
        time.sleep(_SECONDS_TO_FOLLOW)
    if message != _DONE and not _leaving.is_set():
        _end_process()


def _end_process() -> NoReturn:
    console.tell(
        "error: another process of this training has ended; start all of them again "
        "to resume from the last checkpoint"
    )
    os._exit(EXIT_CODE)


def _accept_all() -> list[socket.socket]:
    """Accept the connections of the other processes, in process 0."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    token = secrets.token_hex(8)
    with socket.create_server(("", 0), family=family, dualstack_ipv6=both) as server:
        _broadcast(f"{server.getsockname()[1]} {token} {socket.gethostname()}")
        found: list[socket.socket] = []
        deadline = time.monotonic() + _SECONDS_TO_CONNECT
        while len(found) < jax.process_count() - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                connection, _ = server.accept()
            except OSError:  # the others cannot reach this machine
                break
            if _has_token(token, connection):
                found.append(_with_keepalive(connection))
            else:
                connection.close()
    return found


def _has_token(token: str, connection: socket.socket) -> bool:
    connection.settimeout(1.0)
    try:
        found = connection.recv(len(token), socket.MSG_WAITALL)
    except OSError:
        return False
    return found == token.encode()


def _connect(port: str, token: str, host: str) -> list[socket.socket]:
    """Connect this process to process 0; return [] if that cannot be reached."""
    coordinator = os.environ.get("JAX_COORDINATOR_ADDRESS", "").rpartition(":")[0]
    for name in filter(None, (coordinator.strip("[]"), host)):
        try:
            connection = socket.create_connection((name, int(port)), 5.0)
            connection.sendall(token.encode())
        except OSError:
            continue
        return [_with_keepalive(connection)]
    return []


def _with_keepalive(connection: socket.socket) -> socket.socket:
    """Return the connection, which now waits for as long as its other end exists."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("KEEPIDLE", 10), ("KEEPINTVL", 5), ("KEEPCNT", 3)):
        if (option := getattr(socket, f"TCP_{name}", None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, seconds)
    return connection


def _broadcast(text: str) -> str:
    """Send the text of process 0 to every process, and return it there."""
    from jax.experimental import multihost_utils

    sent = np.frombuffer(text.encode().ljust(256)[:256], np.uint8)
    return bytes(multihost_utils.broadcast_one_to_all(sent)).decode().strip()
