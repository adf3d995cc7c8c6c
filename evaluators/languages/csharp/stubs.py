"""How C# programs are made whole, and how a stub in C# calls the candidate.

One decision: the types whose values cross are listed by the names that may stand in them, so that a type that
nobody thought of is refused rather than sent.
"""

import re

from evaluators.languages.braced.stubs import Signature, StubRules, arguments_of, quoted, simple_type
from evaluators.languages.braced.wrapping import COMMENT, PLAIN_LITERALS, Wrapping

_TYPES = (
    "void bool byte sbyte short ushort int uint long ulong float double decimal char string object dynamic Boolean "
    "Byte Int16 Int32 Int64 Single Double Decimal Char String Object List IList ICollection IEnumerable "
    "IReadOnlyList Dictionary IDictionary HashSet ISet Tuple KeyValuePair BigInteger Nullable System Collections "
    "Generic Numerics params"
)
_WRAPPING = Wrapping(
    provided=(
        "using System;",
        "using System.Collections.Generic;",
        "using System.Linq;",
        "using System.Text;",
        "using System.Text.RegularExpressions;",
    ),
    blanked=re.compile(rf"(?m:^)[ \t]*#[^\n]*|{COMMENT}|(?:@\$|\$@|@)\"(?:\"\"|[^\"])*\"|{PLAIN_LITERALS}", re.DOTALL),
    imported=re.compile(r"\b(?:global\s+)?using\s+(?:static\s+)?(?:\w+\s*=\s*)?[\w.]+(?:<[\w.,\s<>]*>)?\s*;"),
    dropped=re.compile(r"\bnamespace\s+[\w.]+\s*;"),
    directives=True,
    nested_classes_need_static=False,
)


def _body(signature: Signature) -> str:
    types = quoted([simple_type(kind) for kind, _ in signature.parameters])
    returns = "object" if signature.returns == "void" else signature.returns
    called = (
        f'PolytuneBridge.Call<{returns}>("{signature.owner}", "{signature.name}", new string[] {{{types}}}, '
        f"new object[] {{{arguments_of(signature)}}});"
    )
    return called if signature.returns == "void" else f"return {called}"


STUBS = StubRules(wrapping=_WRAPPING, types=frozenset(_TYPES.split()), body=_body)

__all__ = ["STUBS"]
