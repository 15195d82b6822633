#!/usr/bin/env python3
"""Follows a README: runs its commands in a fresh home and compares what they print.

    tests/readme.py BINARY [README.md]            run everything that is marked
    tests/readme.py --test-commands [README.md]   print the block marked `test`, for CI to run
    tests/readme.py --table                       print the table of providers and what their formats have

A comment on the line before a fenced block says what the block is:

    <!-- ci: run -->            commands, run by `bash -eu`; must end with 0
    <!-- ci: run exit=1 -->     must end with 1
    <!-- ci: serve -->          commands of which the last is a server on 127.0.0.1:8765. It runs until the next `serve` block or
                                the end of the README; Ctrl-C must then end it with 0
    <!-- ci: output -->         what the block before prints, stdout and stderr; for `serve`: until it is ready
    <!-- ci: test -->           the command that runs all tests; CI runs it as a step of its own
    <!-- ci: skip REASON -->    not run, and why

and, after any of `run` and `serve`: `in=repo` (run in the checkout; else in an empty folder that the blocks share) and
`timeout=SECONDS` (default 60; for `serve` until it is ready). Every block of shell commands (sh, bash, shell, console) must have
a comment, so that none goes stale unseen. In `console` blocks only lines that begin with `$ ` are run. `run` also takes python
blocks and js blocks, which get the OpenAI SDKs of tests/sdk.

The table after `<!-- ci: table -->` must be what `--table` prints, of tests/sdk/providers.py.

Outputs are compared loosely: `...` on a line of its own stands for any lines, within a line for any text; any number equals
any other, and so do numbers with a unit of the same kind (`3 ms`, `1.2 s`); ids of 10 characters, the home's path, trailing
blanks and the amount of blanks do not count.

Home, configuration and state are fresh; `aiproxy` on PATH is BINARY until a block installs another. Cargo keeps its downloads
and, by CARGO_TARGET_DIR or in=repo, its target folder. With --no-install, `./install.sh` in a block does nothing.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # leaves no __pycache__ in the checkout
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "sdk"))
import harness
import providers

SHELLS = {"sh", "bash", "shell", "console"}
PORT = 8765
HEALTH = f"http://127.0.0.1:{PORT}/_aiproxy/health"


class Wrong(Exception):
    """The README and what happens differ."""


@dataclasses.dataclass
class Block:
    line: int
    language: str
    text: str
    action: str = ""
    reason: str = ""
    options: dict = dataclasses.field(default_factory=dict)

    @property
    def commands(self):
        if self.language != "console":
            return self.text
        return "".join(line[2:] + "\n" for line in self.text.splitlines() if line.startswith("$ "))


def blocks(readme):
    """All fenced blocks in order, with what the comment before each says."""
    found, marker, fence, block = [], None, None, None
    for number, line in enumerate(readme.read_text().splitlines(), 1):
        if block is not None:
            if line.strip() == fence:
                found.append(block)
                block = None
            else:
                block.text += line[indent:] + "\n"
            continue
        opening = re.fullmatch(r"( *)(```+|~~~+)\s*([\w-]*).*", line)
        if opening:
            indent, fence = len(opening[1]), opening[2]
            block = Block(number, opening[3].lower(), "")
            if marker:
                block.action, block.reason, block.options = marker
            marker = None
        elif line == "<!-- ci: table -->":
            continue
        elif comment := re.fullmatch(r"\s*<!-- ci: (\w+)\s*(.*?)\s*-->", line):
            marker = parse(number, *comment.groups())
        elif marker and line.strip():
            raise Wrong(f"line {number}: a `ci:` comment must stand right before its fenced block")
    if block is not None:
        raise Wrong(f"line {block.line}: the fenced block does not end")
    for block in found:
        if block.language in SHELLS and not block.action:
            raise Wrong(f"line {block.line}: shell commands without a `<!-- ci: ... -->` comment (run, serve, test or skip REASON)")
    return found


def table():
    """The lines of the table: a row for each profile of tests/sdk/providers.py, a column for each feature that one of them has."""
    profiles = providers.PROVIDERS.values()
    features = sorted({feature for _, has, _, _ in profiles for feature in has})
    of_provider = [provider for provider, *_ in profiles]
    rows = [["provider", *(feature.replace("_", " ") for feature in features)], ["---"] + [":-:"] * len(features)]
    for key, (provider, has, options, _) in providers.PROVIDERS.items():
        name = providers.LABELS.get(key, f"`{provider}`")
        if key not in providers.LABELS and of_provider.count(provider) > 1 and options:
            name += " with " + ", ".join(f'`{key} = "{value}"`' for key, value in options.items())
        rows.append([name, *("✓" if feature in has else "–" for feature in features)])
    return [f"| {' | '.join(row)} |" for row in rows]


def check_table(readme):
    """Fails with the first line of the README's table that differs from the data."""
    lines = readme.read_text().splitlines()
    if lines.count("<!-- ci: table -->") != 1:
        raise Wrong("one line must be `<!-- ci: table -->`, and after it must stand what `tests/readme.py --table` prints")
    begun = lines.index("<!-- ci: table -->") + 1
    end = next((number for number in range(begun, len(lines)) if not lines[number].startswith("|")), len(lines))
    shown, wanted = lines[begun:end], table()
    for number in range(max(len(shown), len(wanted))):
        has, should = ("".join(side[number : number + 1]) for side in (shown, wanted))
        if has != should:
            place = f"line {begun + number + 1}"
            raise Wrong(f"{place}: the table is\n{has}\nand by tests/sdk/providers.py\n{should}\n(tests/readme.py --table)")
    print(f"ok - line {begun + 1}: the table is that of tests/sdk/providers.py", flush=True)


def parse(number, action, rest):
    if action == "skip":
        if not rest:
            raise Wrong(f"line {number}: `skip` needs a reason")
        return action, rest, {}
    if action not in ("run", "serve", "output", "test"):
        raise Wrong(f"line {number}: `ci: {action}` is none of run, serve, output, test, skip")
    options = dict(word.partition("=")[::2] for word in rest.split())
    if wrong := set(options) - {"exit", "in", "timeout"}:
        raise Wrong(f"line {number}: unknown option {', '.join(sorted(wrong))}; there are exit, in, timeout")
    return action, "", options


UNITS = {
    "time": r"ns|µs|us|ms|s|min|h",
    "size": r"B|kB|KB|KiB|MB|MiB|GB|GiB",
    "speed": r"(?:tok(?:ens?)?|t)/s",
    "money": r"USD",
}
NUMBER = r"(?<![\w.])\$?\d[\d,]*(?:\.\d+)?"


def mask(line):
    line = re.sub(r"\b(?=[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]*\d)[0-9A-HJKMNP-TV-Z]{10}\b|\b[0-9a-hjkmnp-tv-z]{10}\b", "<id>", line)
    for kind, units in UNITS.items():
        line = re.sub(rf"{NUMBER}\s?(?:{units})(?![\w/])", f"<{kind}>", line)
    line = re.sub(rf"{NUMBER}(?![\w])", "<number>", line)
    return re.sub(r"\s+", " ", line).strip()


def compare(block, printed, home):
    """Fails with the first line of `block` that what was printed does not have in its place."""
    actual = [mask(line) for line in printed.replace(str(home), "~").splitlines()]
    actual = [line for line in actual if line]
    expected = [line for line in block.text.splitlines() if line.strip()]

    def matches(pattern, line):
        parts = [re.escape(mask(part)) for part in pattern.split("...")]
        return re.fullmatch(r"\s?.*\s?".join(parts), line) is not None

    def fits(e, a):
        """How far into `expected` the lines from `e` and `a` on agree."""
        if e == len(expected):
            return e + 1 if a == len(actual) else e
        if expected[e].strip() in ("...", "…"):
            return max(fits(e + 1, later) for later in range(a, len(actual) + 1))
        if a < len(actual) and matches(expected[e], actual[a]):
            return fits(e + 1, a + 1)
        return e

    reached = fits(0, 0)
    if reached <= len(expected):
        missing = expected[reached].strip() if reached < len(expected) else "the end of the output"
        raise Wrong(f"line {block.line}: the output differs at: {missing}\n--- printed ---\n{printed}---")


class Follower:
    """Runs the blocks of one README, one after the other, in one home."""

    def __init__(self, home, environment, no_install):
        self.home, self.environment, self.no_install = home, environment, no_install
        self.folder = home / "work"
        self.folder.mkdir()
        self.server = None
        self.printed = None

    def start(self, block, log):
        commands = block.commands
        if self.no_install:
            commands = re.sub(r"(?<!\S)\./install\.sh(?!\S)", "true", commands)
        cwd = harness.ROOT if block.options.get("in") == "repo" else self.folder
        if block.language in ("python", "py"):
            command = [harness.venv("python", harness.ROOT / "tests/sdk/python/requirements.txt"), "-c", commands]
        elif block.language in ("js", "javascript", "mjs"):
            cwd = harness.node_modules("node", harness.ROOT / "tests/sdk/node")
            command = ["node", "--input-type=module", "--eval", commands]
        else:
            command = ["bash", "-eu", "-o", "pipefail", "-c", commands]
        # A session of its own, so that what a block leaves behind can be ended with it.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.environment, cwd=cwd, start_new_session=True
        )

    def run(self, block):
        path = self.home / "block.log"
        limit = float(block.options.get("timeout", 60))
        with open(path, "wb") as log:
            process = self.start(block, log)
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Wrong(f"line {block.line}: not done after {limit:.0f} s:\n{path.read_text(errors='replace')}") from None
        finally:
            end(process)
        self.printed = path.read_text(errors="replace")
        if code != int(block.options.get("exit", 0)):
            raise Wrong(f"line {block.line}: ended with {code}:\n{block.commands}--- printed ---\n{self.printed}---")

    def serve(self, block):
        self.stop()
        if harness.get(HEALTH)[0]:
            raise Wrong(f"line {block.line}: something already listens on port {PORT} of this machine; end it first")
        path = self.home / "serve.log"
        with open(path, "wb") as log:
            process = self.start(block, log)
        self.server = (block, process, path)
        try:
            harness.wait_until_healthy(HEALTH, process, path, float(block.options.get("timeout", 60)))
        except AssertionError as error:
            raise Wrong(f"line {block.line}: {error}") from None
        time.sleep(0.2)  # the banner may come after the first answer
        self.printed = path.read_text(errors="replace")

    def stop(self):
        """Ctrl-C for the server, as a terminal sends it: to all of its group."""
        if not self.server:
            return
        block, process, path = self.server
        self.server = None
        try:
            if process.poll() is not None:
                raise Wrong(f"line {block.line}: the server ended with {process.returncode}:\n{path.read_text(errors='replace')}")
            os.killpg(process.pid, signal.SIGINT)
            code = process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            raise Wrong(f"line {block.line}: the server is still there 20 s after Ctrl-C") from None
        finally:
            end(process)
        if code != 0:
            raise Wrong(f"line {block.line}: Ctrl-C ended the server with {code}:\n{path.read_text(errors='replace')}")
        print(f"ok - line {block.line}: Ctrl-C ends the server", flush=True)

    def close(self):
        if self.server:
            end(self.server[1])


def end(process):
    """Ends what is left of the process group that `process`, started here, leads."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def prepare(program, home, environment):
    """Puts `program` on PATH as aiproxy, where install.sh will put its own, and lets cargo find its downloads."""
    root = home / "cargo"
    (root / "bin").mkdir(parents=True)
    shutil.copy(program, root / "bin" / "aiproxy")
    environment["PATH"] = f"{root}/bin:{environment['PATH']}"
    environment["CARGO_INSTALL_ROOT"] = str(root)
    real = pathlib.Path.home()
    environment["CARGO_HOME"] = os.environ.get("CARGO_HOME", str(real / ".cargo"))
    environment["RUSTUP_HOME"] = os.environ.get("RUSTUP_HOME", str(real / ".rustup"))
    # What cargo must have to reach the network and to reuse an earlier build.
    for name in os.environ:
        if name.startswith("CARGO_") and name not in environment:
            environment[name] = os.environ[name]


def follow(readme, program, no_install):
    found = blocks(readme)
    if not any(block.action in ("run", "serve") for block in found):
        raise Wrong("no block is marked to be run")
    with harness.fresh_home() as (home, environment):
        prepare(program, home, environment)
        follower = Follower(home, environment, no_install)
        try:
            for block in found:
                first = block.text.strip().partition("\n")[0]
                if block.action == "skip":
                    print(f"# skipped - line {block.line}: {first} ({block.reason})", flush=True)
                elif block.action == "output":
                    if follower.printed is None:
                        raise Wrong(f"line {block.line}: no block before it was run")
                    compare(block, follower.printed, home)
                    print(f"ok - line {block.line}: the output is as shown", flush=True)
                elif block.action in ("run", "serve"):
                    getattr(follower, block.action)(block)
                    print(f"ok - line {block.line}: {first}", flush=True)
            follower.stop()
        finally:
            follower.close()


def main(arguments):
    no_install = "--no-install" in arguments
    test_commands = "--test-commands" in arguments
    if arguments == ["--table"]:
        print("\n".join(table()))
        return 0
    paths = [a for a in arguments if a not in ("--no-install", "--test-commands")]
    if len(paths) not in ((0, 1) if test_commands else (1, 2)) or any(p.startswith("-") for p in paths):
        print(__doc__.partition("\n\nA comment")[0], file=sys.stderr)
        return 2
    readme = pathlib.Path(paths[-1]) if len(paths) == (1 if test_commands else 2) else harness.ROOT / "README.md"
    try:
        if test_commands:
            commands = [block.commands for block in blocks(readme) if block.action == "test"]
            if not commands:
                raise Wrong("no block is marked `<!-- ci: test -->`")
            print("".join(commands), end="")
        else:
            check_table(readme)
            follow(readme, harness.binary(paths[:1], "tests/readme.py BINARY [README.md]"), no_install)
    except harness.Unavailable as missing:
        print(f"skipped - an SDK cannot be installed: {missing}")
        return harness.SKIPPED
    except (Wrong, OSError) as wrong:
        print(f"error: {readme.name}: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
