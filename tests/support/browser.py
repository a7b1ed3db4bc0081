"""A minimal driver of a real browser through chromedriver, by the W3C WebDriver protocol."""

import http.client
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ports import free_port
from support.patience import patient
from support.rest_client import HOST

STARTED = "started successfully on port "
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""Key of an element's id in the protocol."""
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    *("--no-default-browser-check", "--disable-extensions", "--window-size=1280,1600"),
)
WAIT = """
const done = arguments[0];
const check = () => { const found = (() => { %s })(); if (found) done(found); else setTimeout(check, 20); };
check();
"""


@dataclass(frozen=True)
class Browser:
    """One browser window."""

    port: int
    session: str

    def open(self, url: str) -> None:
        self._command("POST", "url", url=url)

    def wait(self, script: str) -> Any:
        """Run a script in the page until it returns a value, and return that."""
        return self._command("POST", "execute/async", script=WAIT % script, args=[])

    def click(self, selector: str) -> None:
        self._command("POST", f"element/{self._element(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        self._command("POST", f"element/{self._element(selector)}/value", text=text)

    def complaints(self) -> list[str]:
        """Return the errors on the console: refused scripts, failed requests, exceptions."""
        return [entry["message"] for entry in self._command("POST", "se/log", type="browser") if entry["level"] == "SEVERE"]

    def _element(self, selector: str) -> str:
        """Return a visible element once there is one."""
        found = f"const one = document.querySelector({json.dumps(selector)}); return one && one.offsetParent ? one : null;"
        return str(self.wait(found)[ELEMENT])

    def _command(self, verb: str, path: str, **arguments: Any) -> Any:
        return command(self.port, verb, f"/session/{self.session}/{path}", arguments)


@contextmanager
def browsing(*, accepts_own_certificates: bool = False) -> Iterator[Browser]:
    """Start Chromium with a new profile, which may accept certificates that no authority signed."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    assert driver, "there is chromium, but no chromedriver on PATH; in Debian it is the package chromium-driver"
    with (
        tempfile.TemporaryDirectory(prefix="mercato-browser-", ignore_cleanup_errors=True) as profile,
        # With port 0 chromedriver uses the port that IPv6 assigns for IPv4 too, where an outgoing connection may have it.
        subprocess.Popen([driver, f"--port={free_port()}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
    ):
        try:
            port = _port(process)
            options = {"binary": chromium, "args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
            wanted = {
                "browserName": "chrome",
                "acceptInsecureCerts": accepts_own_certificates,
                "timeouts": {"script": round(patient() * 1000), "pageLoad": round(patient() * 1000)},
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            session = command(port, "POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            yield Browser(port, session)
            command(port, "DELETE", f"/session/{session}", None)
        finally:
            process.terminate()


def _port(driver: "subprocess.Popen[str]") -> int:
    """Return the port on which chromedriver listens, once it listens."""
    assert driver.stdout is not None
    said = ""
    for line in driver.stdout:
        said += line
        if STARTED in line:
            threading.Thread(target=driver.stdout.read, daemon=True).start()  # later output must not fill the pipe
            return int(line.rpartition(STARTED)[2].rstrip(".\n"))
    raise AssertionError(f"chromedriver ended with {driver.wait()}: {said}")


def command(port: int, verb: str, path: str, arguments: Any) -> Any:
    """Send a command to chromedriver and return its value."""
    connection = http.client.HTTPConnection(HOST, port, timeout=3 * patient())
    try:
        connection.request(verb, path, None if arguments is None else json.dumps(arguments))
        value = json.loads(connection.getresponse().read())["value"]
    finally:
        connection.close()
    if isinstance(value, dict) and "error" in value:
        raise AssertionError(f"{value['error']}: {value['message']} ({path} {arguments})")
    return value
