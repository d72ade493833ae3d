"""Chromium without a window, controlled over a pipe by the DevTools protocol."""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60


def find() -> str | None:
    """Return the browser's path; None if none is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def opened():
    """Yield a Page of a new browser, and end the browser afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        (told, tell), (hear, said) = os.pipe(), os.pipe()
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (told, said)]
        flags = ["--headless=new", "--no-sandbox", "--remote-debugging-pipe"]
        flags += ["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        # The browser reads its pipe 3 and writes to its pipe 4.
        script = f'exec "$@" 3<&{high[0]} 4>&{high[1]}'
        process = subprocess.Popen(
            ["bash", "-c", script, "-", find(), *flags, f"--user-data-dir={profile}"],
            pass_fds=high,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (told, said, *high):
            os.close(end)
        try:
            yield Page(tell, hear)
        finally:
            os.close(tell), os.close(hear)
            process.terminate()
            process.wait(SECONDS)


class Page:
    """One tab. errors: messages of its console, and resources that did not load."""

    def __init__(self, tell: int, hear: int):
        self._tell, self._hear, self._rest = tell, hear, b""
        self._numbers, self._session, self._loaded = itertools.count(1), None, False
        self.errors: list[str] = []
        os.set_blocking(hear, False)
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params):
        """Send a command and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._tell, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def open(self, path: Path, width: int = 1280, dark: bool = False, script=True):
        """Load a file in a window of `width` pixels."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1}
        self.ask("Emulation.setDeviceMetricsOverride", **size, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)
        self._loaded = False
        self.ask("Page.navigate", url=Path(path).absolute().as_uri())
        while not self._loaded:
            self._next()

    def value(self, expression: str):
        """Return the value of an expression of JavaScript."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, out: Path) -> None:
        """Write the whole page as a PNG file."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        Path(out).write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, out: Path) -> None:
        """Write the printed page as a PDF file."""
        answer = self.ask("Page.printToPDF", printBackground=False)
        Path(out).write_bytes(base64.b64decode(answer["data"]))

    def _next(self) -> dict:
        """Return the next message; errors are also kept in `errors`."""
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            assert time.monotonic() < deadline, "the browser does not answer"
            try:
                if not (read := os.read(self._hear, 1 << 20)):
                    raise AssertionError("the browser has ended")
                self._rest += read
            except BlockingIOError:
                time.sleep(0.01)
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.errors.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded":
            self.errors.append(params["entry"]["text"])
        return message
