"""CoderEval: functions of real projects as prompts, and its own results as verdicts.

One decision: a function of CoderEval runs inside its project, so no tests are made of it here: what a
model wrote for it is judged by CoderEval's own environments, whose result files can be read, or it is not
judged. Nothing else stands in for them.

Source: Yu et al. 2023, https://github.com/CoderEval/CoderEval, CoderEval4Python.json, CoderEval4Java.json.
"""

import ast
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from tasks.readers.files import content_digest, locate, place_of, read_lines
from tasks.readers.reader import tests_alone
from tasks.readers.source import DataError, Source
from tasks.records import Language, Problem, Track, VerdictName

NOT_JUDGED = "not judged: needs CoderEval's project environments; judge there, and give its result file as completions"
_PYTHON = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(", re.MULTILINE)


class CoderEvalRecord(BaseModel):
    """One record; its projects, contexts and test places are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(alias="_id")
    name: str
    code: str
    docstring: str = ""
    human_label: str = ""

    @property
    def language(self) -> Language:
        """The language that the record's code is in; its file says it for all records at once."""
        return Language.PYTHON if _PYTHON.search(self.code) else Language.JAVA


class _File(BaseModel):
    records: tuple[CoderEvalRecord, ...] = Field(alias="RECORDS")


class Generated(BaseModel):
    """One program in a result file, and whether CoderEval's own run passed it.

    Its run of Python leaves a return code, that of Java an error message: `compile error` or `exec error!`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    generate_code: str
    is_pass: bool
    return_code: int | None = None
    errormessage: str = ""

    @property
    def verdict(self) -> VerdictName:
        """What its run showed; a failed test and an exception are one to it."""
        if self.is_pass:
            return "passed"
        return "compile_error" if self.errormessage.strip() == "compile error" else "wrong_answer"

    @property
    def said(self) -> str:
        """What its run left, in words."""
        if self.return_code is not None:
            return f"return code {self.return_code}"
        return self.errormessage.strip().rstrip("!") or ("passed" if self.is_pass else "not passed")


class ResultRow(BaseModel):
    """One line of a result file: a problem's programs, in the order of their samples."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(validation_alias=AliasChoices("_id", "ques_id"))
    generate_results: tuple[Generated, ...] = Field(min_length=1)


def _python_header(code: str) -> str:
    try:
        function = next(
            node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
    except (SyntaxError, StopIteration):
        return code.partition(":\n")[0] + ":\n"
    lines = code.splitlines()[: max(function.lineno, function.body[0].lineno - 1)]
    return "\n".join(lines) + "\n"


def _java_header(code: str) -> str:
    head, brace, _ = code.partition("{")
    return head.rstrip() + (" {\n" if brace else "\n")


def _python_prompt(header: str, text: str) -> str:
    return f'{header}    """{text}"""\n'


def _java_prompt(header: str, text: str) -> str:
    body = "\n".join(f" * {line}".rstrip() for line in text.splitlines())
    return f"/**\n{body}\n */\n{header}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """A language's file, how the signature is cut off, up to where the body begins, and how both are shown."""

    file: str
    header: Callable[[str], str]
    prompt: Callable[[str, str], str]


_FORMS: Mapping[Language, _Form] = {
    Language.PYTHON: _Form(file="CoderEval4Python.json", header=_python_header, prompt=_python_prompt),
    Language.JAVA: _Form(file="CoderEval4Java.json", header=_java_header, prompt=_java_prompt),
}


def _prompt(record: CoderEvalRecord) -> str:
    form = _FORMS[record.language]
    header = form.header(textwrap.dedent(record.code.replace("\t", "    ")))
    return form.prompt(header, (record.docstring or record.human_label).strip())


def _problem(record: CoderEvalRecord, *, track: Track) -> Problem:
    prompt = _prompt(record)
    return Problem(
        id=record.id,
        track=str(track),
        dataset="codereval",
        input=prompt,
        reference=textwrap.dedent(record.code),
        preamble=prompt,
    )


def _records(path: Path) -> tuple[CoderEvalRecord, ...]:
    try:
        return _File.model_validate_json("\n".join(read_lines(path))).records
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = f"{where}: {first['msg']}" if where else first["msg"]
        raise DataError(str(path), said, "give CoderEval4Python.json or CoderEval4Java.json") from error


def _problems(source: Source, *, track: Track, root: Path) -> tuple[Problem, ...]:
    language = track.target
    assert language is not None
    found = _records(_file(source, root, language))
    return tuple(_problem(record, track=track) for record in found if record.language is language)


def _file(source: Source, root: Path, language: Language) -> Path:
    return locate(source, root=root, name=_FORMS[language].file)


def _content(source: Source, root: Path) -> str:
    place = place_of(source, root=root)
    languages = tuple(_FORMS) if place.is_dir() else tuple(_FORMS)[:1]
    return content_digest((str(language), _file(source, root, language)) for language in languages)


READER = tests_alone(
    version=1,
    tracks=("generation/python", "generation/java"),
    problems=_problems,
    content=_content,
    because="CoderEval is for tests alone",
)

__all__ = ["NOT_JUDGED", "READER", "CoderEvalRecord", "Generated", "ResultRow"]
