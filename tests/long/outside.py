"""What `tests/long/agents` and `tests/long/recipes` share: programs of others, in a home of their own, without a network.

Python's standard library only. Only processes started here are ended, by their id.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = HERE / "packages"
sys.path.insert(0, str(HERE.parent / "sdk"))
import harness

# The programs' own switches for what they would tell others, or fetch. https://code.claude.com/docs/en/env-vars,
# https://aider.chat/docs/config/options.html, https://docs.litellm.ai/docs/proxy/sync_models_github
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "AIDER_ANALYTICS_DISABLE": "true",
    "AIDER_CHECK_UPDATE": "false",
    "AIDER_SHOW_MODEL_WARNINGS": "false",
    "AIDER_YES_ALWAYS": "true",
    "AIDER_GIT": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "AI_SDK_TELEMETRY_DISABLED": "1",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
}


# Codex has settings for the same: https://developers.openai.com/codex/config-reference
QUIET_CODEX = """\
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
plugins = false
"""


class Gate:
    """A proxy that lets nothing out, and knows what was asked of it."""

    def __init__(self):
        self.asked = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._refuse, daemon=True).start()

    def _refuse(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    self.asked.append(connection.recv(4096).split(b"\r\n", 1)[0].decode(errors="replace"))
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    def variables(self):
        url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        proxies = {name: url for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")}
        return proxies | {name: "127.0.0.1,localhost" for name in ("NO_PROXY", "no_proxy")}

    def close(self):
        self._socket.close()


@contextlib.contextmanager
def home(*folders):
    """A fresh home with a folder to work in; gives that, an environment whose PATH begins with `folders`, and the gate."""
    with harness.fresh_home() as (path, environment):
        work = path / "work"
        work.mkdir()
        (path / ".codex").mkdir()
        (path / ".codex" / "config.toml").write_text(QUIET_CODEX)
        # What aider fetches where it has none of today's.
        prices = path / ".aider" / "caches" / "model_prices_and_context_window.json"
        prices.parent.mkdir(parents=True)
        prices.write_text('{"no-model": {}}')
        gate = Gate()
        try:
            names = [str(folder) for folder in folders] + [environment["PATH"]]
            yield work, environment | gate.variables() | QUIET | {"PATH": os.pathsep.join(names)}, gate
        finally:
            gate.close()


def ran(command, environment, cwd, seconds=120):
    """Exit code, stdout and stderr of a program; it and what it started are gone afterwards."""
    process = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = f"none after {seconds} s"
    return code, out.decode(errors="replace"), err.decode(errors="replace")


def agents():
    """The folder of the coding agents' programs."""
    return harness.node_modules("agents", PACKAGES / "agents") / "node_modules" / ".bin"
