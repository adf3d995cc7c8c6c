"""What must never be written down: passwords and tokens, taken out of any text on its way to a file or a server.

One decision: a secret is known by its place, never guessed by its looks alone: the value of an environment
variable whose name says so, the password of an address, or a token with the prefix that its issuer gives it.
"""

import os
import re
from urllib.parse import quote

HIDDEN = "***"
# Shorter values ("1", "true", "admin") would blot out ordinary words.
_SHORTEST = 8
_NAMES = re.compile(
    r"(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|AUTH)(_ID)?$",
    re.IGNORECASE,
)
_PASSWORDS = re.compile(r"://[^/\s@]+@")
_ISSUED = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|dapi[0-9a-f]{32}"
    r"|sk-[\w-]{20,}|AKIA[0-9A-Z]{16})"
)


def redact(text: str) -> str:
    """The text with `***` for passwords in addresses, issued tokens, and values of this environment's secrets."""
    text = _PASSWORDS.sub(f"://{HIDDEN}@", text)
    for secret in _values():
        text = text.replace(secret, HIDDEN)
    return _ISSUED.sub(HIDDEN, text)


def _values() -> list[str]:
    """Values of variables that are named as secrets, as they are and as addresses write them; longest first."""
    found = {value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= _SHORTEST}
    return sorted(found | {quote(value, safe="") for value in found}, key=len, reverse=True)
