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

_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|ACCESS_KEY|ACCOUNT_KEY)$", re.IGNORECASE)
# Tokens by the prefix that their issuer gives them: hub, GitHub, GitLab, Databricks, AWS.
_ISSUED = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|dapi[0-9a-f]{32}"
    r"|AKIA[0-9A-Z]{16})"
)
# A shorter value is an ordinary word somewhere.
_SHORTEST = 6


def secrets(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment's tokens and passwords, known by their variables' names."""
    found = os.environ if environment is None else environment
    return {name: value for name, value in found.items() if _NAMES.search(name) and len(value) >= _SHORTEST}


def without_secrets(text: str) -> str:
    """The text without passwords in addresses, credentials in headers, issued tokens and this environment's secrets."""
    text = re.sub(r"://[^/\s@]+@", "://***@", text)
    text = re.sub(r"\b(Bearer|Basic) [\w.~+/=-]+", r"\1 ***", text)
    # The longest first: one secret may be part of another.
    for secret in sorted(secrets().values(), key=len, reverse=True):
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            text = text.replace(form, "***")
    return _ISSUED.sub("***", text)
