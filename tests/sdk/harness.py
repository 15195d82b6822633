"""What `tests/sdk/run`, `tests/real/run` and `tests/readme.py` share: the cache of installed packages, a fresh home, a server.

Python's standard library only. Servers listen on loopback, and only processes started here are ended, by their id.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The exit code for "could not be run here", told apart from passed and failed by `.ci/run`.
SKIPPED = 77


class Unavailable(Exception):
    """A package that the tests need cannot be installed here."""


def cache():
    """Where virtual environments and node modules live between runs."""
    path = pathlib.Path(os.environ.get("AIPROXY_TEST_CACHE") or ROOT / "target" / "sdk").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def binary(arguments, usage):
    """The path in the command line's one argument."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(f"usage: {usage}", file=sys.stderr)
        sys.exit(2)
    found = shutil.which(os.path.abspath(arguments[0]) if os.sep in arguments[0] else arguments[0])
    if not found:
        print(f"error: {arguments[0]} is no program", file=sys.stderr)
        sys.exit(2)
    return os.path.abspath(found)


def _install(folder, wanted, command):
    """Runs `command`, which fills `folder`, unless it did so before for the same list of packages."""
    done = folder / ".installed"
    if done.exists() and done.read_text() == wanted:
        return
    print(f"# installing {folder.name} packages into {folder}", flush=True)
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip() or "no message").splitlines()
        raise Unavailable(f"{' '.join(map(str, command[:3]))} failed: " + " | ".join(said[-3:]))
    done.write_text(wanted)


def venv(name, requirements):
    """The Python of a virtual environment that holds what the file `requirements` lists."""
    folder = cache() / name
    wanted = sys.version + "\n" + requirements.read_text()
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if not (done.exists() and done.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True)
        if made.returncode != 0:
            raise Unavailable(f"no virtual environment (python3-venv missing?): {made.stdout.strip()} {made.stderr.strip()}")
    _install(folder, wanted, [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements])
    return python


def node_modules(name, source):
    """A folder whose `node_modules` is what `source/package-lock.json` pins. Scripts that import from it run inside it."""
    if not shutil.which("npm"):
        raise Unavailable("npm is not installed")
    folder = cache() / name
    folder.mkdir(exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(source / file, folder / file)
    _install(folder, (folder / "package-lock.json").read_text(), ["npm", "--prefix", folder, "ci", "--no-audit", "--no-fund"])
    return folder


class Sdks:
    """The official SDKs, installed, and the scripts of checks that use them: each a command line."""

    def __init__(self):
        folder = pathlib.Path(__file__).resolve().parent
        self._python, self._scripts = venv("python", folder / "python" / "requirements.txt"), folder / "python"
        self._node = node_modules("node", folder / "node")
        # A module finds its packages beside itself.
        for script in (folder / "node").glob("*.mjs"):
            shutil.copy(script, self._node)

    def python(self, script):
        """`script` is a name, or a path of a script elsewhere."""
        return [self._python, script if isinstance(script, pathlib.Path) else self._scripts / f"{script}.py"]

    def node(self, name):
        return ["node", self._node / f"{name}.mjs"]


@contextlib.contextmanager
def fresh_home():
    """A temporary folder and an environment in which no setting, key or proxy of this machine is seen."""
    with tempfile.TemporaryDirectory(prefix="aiproxy-test-") as folder:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": folder,
            "XDG_CONFIG_HOME": f"{folder}/.config",
            "XDG_DATA_HOME": f"{folder}/.local/share",
            "XDG_STATE_HOME": f"{folder}/.local/state",
            "XDG_CACHE_HOME": f"{folder}/.cache",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            # `common.py`, for scripts of checks elsewhere.
            "PYTHONPATH": str(ROOT / "tests" / "sdk" / "python"),
        }
        yield pathlib.Path(folder), environment


def free_port():
    """A port that nobody listens on. (Somebody could take it before we do; on loopback nobody does.)"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, timeout=2):
    """Status and body; status 0 when there is no answer. Never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (urllib.error.URLError, OSError):
        return 0, b""


def wait_until_healthy(url, process, log, seconds=30):
    """Returns once `url` answers 200; fails when the process ends or the time is up, showing what it said."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if get(url)[0] == 200:
            return
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode} before it was ready:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
    raise AssertionError(f"{url} does not answer after {seconds} s:\n{log.read_text(errors='replace')}")


@contextlib.contextmanager
def running(command, log, environment, ready, stop_code=None, cwd=None):
    """`command` as a process, from the moment `ready` answers until the end of the block; then SIGTERM.

    `stop_code` is the exit code that SIGTERM must lead to. Whatever happens, the process is gone afterwards.
    """
    with open(log, "wb") as output:
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=cwd
        )
    try:
        wait_until_healthy(ready, process, log)
        yield process
        if process.poll() is not None:
            raise AssertionError(f"the server ended by itself with {process.returncode}")
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            raise AssertionError("the server is still there 20 s after SIGTERM") from None
        if stop_code is not None and code != stop_code:
            raise AssertionError(f"SIGTERM ended the server with exit code {code}, not {stop_code}")
    except BaseException:
        said = log.read_text(errors="replace")[-4000:]
        print(f"--- last output of {command[0]} ---\n{said}---", file=sys.stderr)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextlib.contextmanager
def aiproxy(program, arguments, home, environment):
    """`aiproxy serve ARGUMENTS` on a free port; gives its origin. It must answer its health check and end with 0."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    command = [program, "serve", "--listen", f"127.0.0.1:{port}", *arguments]
    with running(command, home / "aiproxy.log", environment, f"{origin}/_aiproxy/health", stop_code=0):
        status, body = get(f"{origin}/_aiproxy/health")
        assert status == 200 and json.loads(body)["status"] == "ok", (status, body)
        yield origin
    print("ok - SIGTERM ends the server with exit code 0", flush=True)


def succeed(command, environment):
    """Runs a helper that must succeed."""
    subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, env=environment, check=True, timeout=120)


def checks(command, environment, **extra):
    """Runs a script of checks with `extra` in its environment; True if it passed."""
    result = subprocess.run(
        list(map(str, command)), stdin=subprocess.DEVNULL, env=environment | extra, timeout=300, cwd=environment["HOME"]
    )
    if result.returncode != 0:
        print(f"not ok - {' '.join(map(str, command))} ended with {result.returncode}", file=sys.stderr)
    return result.returncode == 0
