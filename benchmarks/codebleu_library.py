"""Runs codebleu 0.7.0 as it is, or with single repairs, in whatever Python has its package.

Reads one JSON object from standard input: `pairs` of [output, reference], `language` as the library names
it, `repairs` (names of `REPAIRS`) and `package`, a folder that holds `codebleu/` (empty: the installed one).
Writes the four parts of each pair, which pairs made the library's dataflow reader raise, the parts of the
corpus, and the processor time that the pairs and the corpus took.

One decision: a repair changes the library's own code at one point and nothing else, so that what it
changes in a row is what this point causes there.
"""

import importlib.util
import inspect
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

_PARTS = ("ngram_match_score", "weighted_ngram_match_score", "syntax_match_score", "dataflow_match_score")
_TEXTS: dict[tuple[str, str], str] = {}
"""Of the functions that were changed, as they are now."""


class _Ordered(dict[Any, None]):
    """As much of a set as the library uses, in the order of insertion."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__(dict.fromkeys(items))

    def add(self, item: Any) -> None:
        self[item] = None


def _replace(module: Any, function: str, changes: Iterable[tuple[str, str]]) -> None:
    """Compile a function of a module again with its text changed; every change must find its place."""
    text = _TEXTS.get((module.__name__, function)) or inspect.getsource(getattr(module, function))
    for old, new in changes:
        if old not in text:
            raise SystemExit(f"{module.__name__}.{function} has no {old!r}: this is not codebleu 0.7.0")
        text = text.replace(old, new)
    _TEXTS[module.__name__, function] = text
    exec(compile(text, f"<repaired {function}>", "exec"), module.__dict__)


def _order(codebleu: Any) -> None:
    """Sets keep their order, so that nothing depends on hashes."""
    for module in (codebleu.dataflow_match, codebleu.parser.DFG):
        module.set = _Ordered


def _csharp(codebleu: Any) -> None:
    """C# is read by the names that its pinned grammar has."""
    _replace(
        codebleu.parser.DFG,
        "DFG_csharp",
        (
            ('["for_each_statement"]', '["foreach_statement"]'),
            ('"local_variable_declaration"', '"variable_declaration"'),
            ("len(root_node.children) == 2", 'any(c.type == "=" for c in root_node.children[:-1])'),
            (
                "value = root_node.children[1]",
                'value = root_node.children[[c.type for c in root_node.children].index("=") + 1]',
            ),
        ),
    )


def _incomplete(codebleu: Any) -> None:
    """An assignment or loop without all its parts is read like any other node, instead of raising."""
    whole = (
        "root_node.type in assignment",
        'root_node.type in assignment and root_node.child_by_field_name("left") is not None '
        'and root_node.child_by_field_name("right") is not None',
    )
    for function in ("DFG_java", "DFG_csharp"):
        _replace(codebleu.parser.DFG, function, [whole])


def _clip(codebleu: Any) -> None:
    """A subtree matches as often as the output has it."""
    _replace(
        codebleu.syntax_match,
        "corpus_syntax_match",
        [("match_count += 1\n\n", "match_count += 1\n                    cand_sexps.remove(sub_tree)\n\n")],
    )


def _columns(codebleu: Any) -> None:
    """A token's columns count bytes, as tree-sitter gives them, and not characters."""

    def read(index: Any, code: list[bytes]) -> str:
        (first, start), (last, end) = index
        lines = [code[first][start:end]] if first == last else [code[first][start:], *code[first + 1 : last]]
        return b"".join(lines if first == last else [*lines, code[last][:end]]).decode(errors="replace")

    match = codebleu.dataflow_match
    _replace(match, "get_data_flow", [('code = code.split("\\n")', 'code = code.encode().split(b"\\n")')])
    match.index_to_code_token = read


def _invented(codebleu: Any) -> None:
    """Tokens that the parser invented where one is missing are no variables of an empty name."""
    reader, leaves = codebleu.parser.DFG, codebleu.parser.utils
    for language in ("java", "csharp", "python"):
        _replace(reader, f"DFG_{language}", [("if root_node.type == code:", "if root_node.type == code or not code:")])
    _replace(leaves, "tree_to_variable_index", [("if root_node.type != code:", "if root_node.type != code and code:")])
    reader.tree_to_variable_index = leaves.tree_to_variable_index


REPAIRS: dict[str, Callable[[Any], None]] = {
    "order": _order,
    "csharp": _csharp,
    "incomplete": _incomplete,
    "clip": _clip,
    "columns": _columns,
    "invented": _invented,
}


def load(package: str) -> Any:
    """The library, from a folder if one is named, so that it meets this Python's tree-sitter."""
    if not package:
        import codebleu

        return codebleu
    root = f"{package}/codebleu"
    spec = importlib.util.spec_from_file_location("codebleu", f"{root}/__init__.py", submodule_search_locations=[root])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["codebleu"] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)
    codebleu = load(request["package"])
    for name in request["repairs"]:
        REPAIRS[name](codebleu)
    raised: list[str] = []
    language = request["language"]
    read = getattr(codebleu.parser.DFG, {"c_sharp": "DFG_csharp"}.get(language, f"DFG_{language}"))

    def watched(*arguments: Any) -> Any:
        try:
            return read(*arguments)
        except Exception as error:
            raised.append(f"{type(error).__name__}: {error}")
            raise

    codebleu.dataflow_match.dfg_function[language] = watched
    pairs, rows, started = request["pairs"], [], time.process_time()
    for output, reference in pairs:
        raised.clear()
        found = codebleu.calc_codebleu([reference], [output], language)
        rows.append([*(found[part] for part in _PARTS), found["codebleu"], "; ".join(raised)])
    middle = time.process_time()
    total = codebleu.calc_codebleu([r for _, r in pairs], [o for o, _ in pairs], language)
    ended = time.process_time()
    corpus = [*(total[part] for part in _PARTS), total["codebleu"]]
    times = {"pairs_s": middle - started, "corpus_s": ended - middle}
    json.dump({"rows": rows, "corpus": corpus, **times}, sys.stdout)


if __name__ == "__main__":
    main()
