"""The part of the page that shows what models wrote: markup, style, script and packed texts.

One decision: the page needs no server and no network. Texts lie compressed inside it; where they would make it too
large, in files next to it, loaded as scripts, since a page that is opened from a folder may fetch nothing.

What models wrote is hostile. It stands in the page as base64 alone, the script writes it as text and never as markup,
and the page's policy lets no other script run.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from orchestrator.report.evidence import Evidence
from orchestrator.report.samplechunks import Packed, pack
from orchestrator.report.samples import gather_samples

if TYPE_CHECKING:
    from jinja2 import Template

_SCRIPTS = ("samplefilter.js", "samplediff.js", "sampledata.js", "sampleitem.js", "samples.js")
_INSIDE_CHARACTERS = 28_000_000
"""Packed texts up to this size stand inside the page."""
_FILE_CHARACTERS = 8_000_000
SIDE_FILES = "report-samples-*.js"
"""What side files are called: by what they hold, so that a page never meets those of another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """The section of the page, its script's place in the page's policy, and the files next to the page by name."""

    section: str = ""
    policy: str = ""
    side_files: dict[str, str] = field(default_factory=dict)


def build_browser(evidence: Evidence, *, inside: int = _INSIDE_CHARACTERS) -> Browser:
    """The sample browser of a study; empty if no text is known.

    Args:
        evidence: The study's results.
        inside: Up to how many characters packed texts stand inside the page.
    """
    samples = gather_samples(evidence)
    packed = pack(samples) if samples.texts.written else None
    if packed is None or not packed.num_items:
        return Browser()
    return lay_out(packed, study=evidence.results.study, inside=inside)


def lay_out(packed: Packed, *, study: str, inside: int = _INSIDE_CHARACTERS) -> Browser:
    """Packed texts as a section of a page."""
    side = [] if packed.size <= inside else list(_side_files(packed.chunks))
    script = _load_script()
    section = _load_template().render(
        study=study,
        style=_read("samples.css"),
        script=script,
        packed=packed,
        side=[(name, first) for name, first, _ in side],
    )
    digest = b64encode(sha256(script.encode()).digest()).decode()
    # Strict-dynamic lets this script, and it alone, load the files next to the page.
    policy = f"script-src 'sha256-{digest}' 'strict-dynamic'"
    return Browser(section=section, policy=policy, side_files={name: content for name, _, content in side})


def _side_files(chunks: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """Names, the number of the first chunk, and content, of files of about the same size."""
    first, size = 0, 0
    for number, chunk in enumerate(chunks):
        size += len(chunk)
        if size >= _FILE_CHARACTERS or number == len(chunks) - 1:
            held = chunks[first : number + 1]
            mark = sha256("".join(held).encode()).hexdigest()[:12]
            listed = ",\n".join(f'"{one}"' for one in held)
            yield f"report-samples-{mark}.js", first, f"polytuneSamples({first}, [\n{listed}\n]);\n"
            first, size = number + 1, 0


def _load_script() -> str:
    parts = "\n".join(_read(name) for name in _SCRIPTS)
    return f"(() => {{\n'use strict';\n{parts}}})();\n"


@cache
def _load_template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_read("samples.html.j2"))


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


__all__ = ["SIDE_FILES", "Browser", "build_browser", "lay_out"]
