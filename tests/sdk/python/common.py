"""What the Python checks share: what is asked, and running the checks of several profiles side by side.

A script's environment: BASE_URL is the proxy's origin, PROFILES a JSON list of `{"name": ..., "has": [...]}`: what the provider's
format has; `native` where that is the SDK's own format; `script` where the server does what a model's name says, as `aiproxy mock`
does, and `exact` where it keeps limits and numbers its events, too. A server without `script` is a real one with a random model.
"""

import json
import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from pydantic import BaseModel

STORY = "Tell me a story"
ORIGIN = os.environ["BASE_URL"]


class Weather(BaseModel):
    """The arguments of `get_weather`; also what a structured answer looks like. A random model comes to its end, too."""

    city: Literal["Oslo", "Rome"]
    days: int


WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}}


# What the SDKs call an error of a status.
ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    529: "InternalServerError",
}


# What a check gives back where the server has nothing that it could judge.
SKIPPED = "skipped"


def run(groups):
    """Runs `{label: {name: check}}`: the groups side by side, a group's checks in order. One line per check; exits with 1 if one fails."""

    def group(item):
        label, checks = item
        failed = 0
        for name, check in checks.items():
            try:
                outcome = check()
            except Exception:
                failed += 1
                print(f"not ok - {label}: {name}\n{traceback.format_exc()}", end="", flush=True)
            else:
                print(f"{outcome or 'ok'} - {label}: {name}\n", end="", flush=True)
        return failed

    with ThreadPoolExecutor(max_workers=8) as pool:
        sys.exit(1 if sum(pool.map(group, groups.items())) else 0)


def run_profiles(label, kind, names):
    """Runs the methods `names` of `kind(name, has)` for every profile."""
    groups = {}
    for profile in json.loads(os.environ["PROFILES"]):
        checks = kind(profile["name"], set(profile["has"]))
        groups[f"{label} {profile['name']}"] = {name: getattr(checks, name) for name in names}
    run(groups)


def raised(kind, call):
    """The exception that `call` raises, whose class must be `kind` itself."""
    try:
        call()
    except kind as error:
        assert type(error) is kind, repr(error)
        return error
    raise AssertionError(f"no {kind.__name__}")


def refusals(sdk, ask):
    """What the SDK raises where `ask(model=..., stream=...)` meets an error: status and exception, which must be of its own class."""
    for status, name in ERRORS.items():
        for options in ({}, {"stream": True}):
            kind = getattr(sdk, "OverloadedError" if status == 529 and hasattr(sdk, "OverloadedError") else name)
            error = raised(kind, lambda: ask(model=f"mock-error-{status}", **options))
            assert error.status_code == status, error
            yield status, error
