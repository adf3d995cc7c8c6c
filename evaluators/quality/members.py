"""Makes a file of bare methods, by a class around them, for tools that read whole files only.

One decision: the class stands on lines of its own, so that a message on those lines is known to be
about what was added, and every other line has a line of the source to go back to.
"""

from dataclasses import dataclass

import tree_sitter

from evaluators.languages.reading import parser
from tasks.records import Language

CLASS_NAME = "Candidate"
_IMPORTS = frozenset({"import_declaration", "package_declaration", "using_directive"})
_TYPES = frozenset(
    {
        *("class_declaration", "interface_declaration", "enum_declaration", "record_declaration"),
        *("annotation_type_declaration", "struct_declaration", "delegate_declaration", "module_declaration"),
        *("namespace_declaration", "file_scoped_namespace_declaration"),
    }
)
_REMARKS = frozenset({"line_comment", "block_comment", "comment"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeFile:
    """A file for a tool: the source, and `added` lines from line `start` on if a class was put around it.

    `lines` counts the source's lines.
    """

    text: str
    start: int
    added: int
    lines: int

    @property
    def wrapped(self) -> bool:
        """Whether a class was put around the source."""
        return bool(self.added)

    def source_line(self, line: int) -> int | None:
        """The line of the source that a line of the file shows; None for a line that was added."""
        if line < self.start or not self.added:
            return line
        found = line - self.added
        return found if self.start <= found <= self.lines else None


def make_whole(source: str, *, language: Language, head: str = "") -> WholeFile:
    """Put a class around the source if it has members outside of any type, below its imports.

    `head` is a line that precedes the class then, such as the imports that a bare method leaves out.
    The class is called as a constructor among the members asks for.
    """
    data = source.encode("utf-8", errors="replace")
    reader = parser(language)
    children = reader.parse(data).root_node.children
    lines = source.count("\n") + 1
    if not any(_is_member(child) for child in children):
        return WholeFile(text=source, start=1, added=0, lines=lines)
    cut = _end_of_imports(children, data)
    before, after = data[:cut].decode("utf-8", "replace"), data[cut:].decode("utf-8", "replace")
    name = _constructed(reader.parse(f"class {CLASS_NAME} {{\n{after}\n}}\n".encode()).root_node) or CLASS_NAME
    opening = f"{head}\npublic class {name} {{\n" if head else f"public class {name} {{\n"
    text = f"{before}{opening}{after}\n}}\n"
    return WholeFile(text=text, start=before.count("\n") + 1, added=opening.count("\n"), lines=lines)


def _constructed(root: tree_sitter.Node) -> str | None:
    """The name of the first constructor in the first class."""
    body = root.children[0].child_by_field_name("body") if root.children else None
    found = next((child for child in body.children if child.type == "constructor_declaration"), None) if body else None
    name = found.child_by_field_name("name") if found else None
    return name.text.decode("utf-8", "replace") if name and name.text else None


def _is_member(node: tree_sitter.Node) -> bool:
    return node.type not in _IMPORTS | _TYPES | _REMARKS and node.type != ";"


def _end_of_imports(children: list[tree_sitter.Node], data: bytes) -> int:
    """Where the line after the last import begins; 0 if there is no import, or code on its line."""
    imports = [child for child in children if child.type in _IMPORTS]
    if not imports:
        return 0
    end = data.find(b"\n", imports[-1].end_byte) + 1
    return end if end and not data[imports[-1].end_byte : end].strip() else 0
