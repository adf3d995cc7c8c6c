"""Secrets out of texts that are kept or shown.

One decision: tokens and passwords live in the environment alone, so their values are known here and are
looked for as they are. It happens at the edge where a text leaves the process: failures in the ledger,
causes, MLflow, the terminal.
"""

import json
import os
import re
from collections.abc import Mapping
from urllib.parse import quote

_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|ACCESS_KEY)$", re.IGNORECASE)
# A shorter value is an ordinary word somewhere.
_SHORTEST = 6


def secrets(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment's tokens and passwords, known by their variables' names."""
    found = os.environ if environment is None else environment
    return {name: value for name, value in found.items() if _NAMES.search(name) and len(value) >= _SHORTEST}


def without_secrets(text: str) -> str:
    """The text without passwords in addresses, credentials in headers and this environment's secrets."""
    text = re.sub(r"://[^/\s@]+@", "://***@", text)
    text = re.sub(r"\b(Bearer|Basic) [\w.~+/=-]+", r"\1 ***", text)
    # The longest first: one secret may be part of another.
    for secret in sorted(secrets().values(), key=len, reverse=True):
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            text = text.replace(form, "***")
    return text
