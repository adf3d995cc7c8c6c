"""Chains over a string, and pipelines over the words of a sentence.

A string is rebound step by step in all three languages; words are a comprehension in Python, a
stream in Java and LINQ in C#. Inputs are ASCII, so that case and order mean the same everywhere.
"""

import random

from tasks.micro.program import NAMES, WRITTEN, Drawn, Program, Step, draw, function, recipe
from tasks.records import Language, Parameter, ValueType

_PY, _JAVA, _CS = Language.PYTHON, Language.JAVA, Language.CSHARP
_LETTERS = tuple("aeionrst")


def _step(
    kind: str, python: str, java: str, csharp: str, phrases: tuple[str, ...], constants: tuple[int | str, ...] = ()
) -> Step:
    return Step(kind=kind, phrases=phrases, code={_PY: python, _JAVA: java, _CS: csharp}, constants=constants)


def _removal(kind: str, keep: str, pattern: str, phrases: tuple[str, ...]) -> Step:
    python = f'"".join(c for c in text if {keep})'
    return _step(kind, python, f'text.replaceAll("{pattern}", "")', f'Regex.Replace(text, "{pattern}", "")', phrases)


_STEPS = (
    _step(
        "upper", "text.upper()", "text.toUpperCase()", "text.ToUpper()", ("convert it to upper case", "uppercase it")
    ),
    _step(
        "lower", "text.lower()", "text.toLowerCase()", "text.ToLower()", ("convert it to lower case", "lowercase it")
    ),
    _step(
        "reverse",
        "text[::-1]",
        "new StringBuilder(text).reverse().toString()",
        "new string(text.Reverse().ToArray())",
        ("reverse it", "write it backwards"),
    ),
    _removal("remove_vowels", 'c not in "aeiou"', "[aeiou]", ("remove the lowercase vowels", "drop lowercase vowels")),
    _removal("remove_spaces", 'c != " "', " ", ("remove the spaces", "drop all spaces")),
    _removal("remove_digits", "not c.isdigit()", "[0-9]", ("remove the digits", "drop all digits")),
    _removal("keep_letters", "c.isalpha()", "[^A-Za-z]", ("keep only the letters", "remove all but letters")),
    _removal("keep_digits", "c.isdigit()", "[^0-9]", ("keep only the digits", "remove all but digits")),
    _step(
        "replace",
        'text.replace("{k}", "*")',
        'text.replace("{k}", "*")',
        'text.Replace("{k}", "*")',
        ('replace each "{k}" by a star', 'turn every "{k}" into a star'),
        _LETTERS,
    ),
    _step(
        "take",
        "text[:{k}]",
        "text.substring(0, Math.min({k}, text.length()))",
        "text.Substring(0, Math.Min({k}, text.Length))",
        ("take its first {k} characters", "keep only the first {k} characters"),
        (2, 3, 4, 5, 6),
    ),
    _step(
        "drop",
        "text[{k}:]",
        "text.substring(Math.min({k}, text.length()))",
        "text.Substring(Math.Min({k}, text.Length))",
        ("drop its first {k} characters", "skip the first {k} characters"),
        (1, 2, 3, 4),
    ),
    _step("twice", "text + text", "text + text", "text + text", ("repeat it twice", "append it to itself")),
    _step(
        "prefix",
        '"{k}" + text',
        '"{k}" + text',
        '"{k}" + text',
        ('put "{k}" before it', 'add "{k}" at the start'),
        ("x", "ab", "no", "pre", "re"),
    ),
    _step(
        "suffix",
        'text + "{k}"',
        'text + "{k}"',
        'text + "{k}"',
        ('put "{k}" after it', 'add "{k}" at the end'),
        ("x", "ed", "ing", "s", "er"),
    ),
    _step(
        "stutter",
        '"".join(c + c for c in text)',
        'text.replaceAll("(.)", "$1$1")',
        'Regex.Replace(text, "(.)", "$1$1")',
        ("double each character", "write each character twice"),
    ),
)

_RESULTS: tuple[tuple[ValueType, Step], ...] = (
    ("str", _step("text", "text", "text", "text", ("the result", "the text"))),
    ("int", _step("length", "len(text)", "text.length()", "text.Length", ("the length", "how long it is"))),
    (
        "int",
        _step(
            "count",
            'text.count("{k}")',
            "(int) text.chars().filter(c -> c == '{k}').count()",
            "text.Count(c => c == '{k}')",
            ('the number of times "{k}" occurs', 'how often "{k}" occurs'),
            _LETTERS,
        ),
    ),
    (
        "bool",
        _step(
            "palindrome",
            "text == text[::-1]",
            "new StringBuilder(text).reverse().toString().equals(text)",
            "text.SequenceEqual(text.Reverse())",
            ("whether it is a palindrome", "if it reads the same backwards"),
        ),
    ),
    (
        "bool",
        _step(
            "contains",
            '"{k}" in text',
            'text.contains("{k}")',
            'text.Contains("{k}")',
            ('whether it contains "{k}"', 'if "{k}" occurs in it'),
            _LETTERS,
        ),
    ),
)

_WORD_FILTERS = (
    _step(
        "longer",
        "len(w) > {k}",
        "w.length() > {k}",
        "w.Length > {k}",
        ("keep the words longer than {k} letters", "keep words of more than {k} letters"),
        (2, 3, 4),
    ),
    _step(
        "shorter",
        "len(w) < {k}",
        "w.length() < {k}",
        "w.Length < {k}",
        ("keep the words shorter than {k} letters", "keep words of fewer than {k} letters"),
        (4, 5, 6),
    ),
    _step(
        "has",
        '"{k}" in w',
        'w.contains("{k}")',
        'w.Contains("{k}")',
        ('keep the words that contain "{k}"', 'keep words with "{k}" in them'),
        _LETTERS,
    ),
    _step(
        "lacks",
        '"{k}" not in w',
        '!w.contains("{k}")',
        '!w.Contains("{k}")',
        ('keep the words without "{k}"', 'drop words with "{k}" in them'),
        _LETTERS,
    ),
    _step(
        "starts",
        'w.startswith("{k}")',
        'w.startsWith("{k}")',
        'w.StartsWith("{k}")',
        ('keep the words that start with "{k}"', 'keep words beginning with "{k}"'),
        _LETTERS,
    ),
    _step(
        "ends",
        'w.endswith("{k}")',
        'w.endsWith("{k}")',
        'w.EndsWith("{k}")',
        ('keep the words that end with "{k}"', 'keep words ending in "{k}"'),
        _LETTERS,
    ),
)
_WORD_MAPS = (
    _step(
        "upper", "w.upper()", "w.toUpperCase()", "w.ToUpper()", ("uppercase each word", "write each word in capitals")
    ),
    _step(
        "initial",
        "w[0]",
        "w.substring(0, 1)",
        "w.Substring(0, 1)",
        ("take the first letter of each word", "keep each word's first letter"),
    ),
    _step(
        "backwards",
        "w[::-1]",
        "new StringBuilder(w).reverse().toString()",
        "new string(w.Reverse().ToArray())",
        ("reverse each word", "write each word backwards"),
    ),
    _step(
        "append",
        'w + "{k}"',
        'w + "{k}"',
        'w + "{k}"',
        ('add "{k}" to each word', 'append "{k}" to every word'),
        ("s", "ed", "x"),
    ),
)
_WORD_ORDERS = (
    _step(
        "sort",
        "sorted(words)",
        ".sorted()",
        ".OrderBy(w => w, StringComparer.Ordinal)",
        ("sort the words", "put the words in order"),
    ),
    _step(
        "first",
        "words[:{k}]",
        ".limit({k})",
        ".Take({k})",
        ("take the first {k} words", "keep only the first {k} words"),
        (2, 3, 4),
    ),
    _step(
        "unique",
        "list(dict.fromkeys(words))",
        ".distinct()",
        ".Distinct()",
        ("remove repeated words", "keep each word once"),
    ),
)
_WORD_RESULTS: tuple[tuple[ValueType, Step], ...] = (
    (
        "list[str]",
        _step("list", "words", ".collect(Collectors.toList())", ".ToList()", ("the words", "the list of words")),
    ),
    (
        "str",
        _step(
            "join",
            '"{k}".join(words)',
            '.collect(Collectors.joining("{k}"))',
            'string.Join("{k}", WORDS)',
            ('them joined by "{k}"', 'the words with "{k}" between them'),
            ("-", "+", "", ", "),
        ),
    ),
    ("int", _step("count", "len(words)", ".count()", ".Count()", ("how many there are", "the number of words"))),
    (
        "int",
        _step(
            "longest",
            "max((len(w) for w in words), default=0)",
            ".mapToInt(w -> w.length()).max().orElse(0)",
            ".Select(w => w.Length).DefaultIfEmpty(0).Max()",
            ("the length of the longest or 0", "how long the longest is, or 0"),
        ),
    ),
    (
        "int",
        _step(
            "letters",
            "sum(len(w) for w in words)",
            ".mapToInt(w -> w.length()).sum()",
            ".Sum(w => w.Length)",
            ("their total length", "the sum of their lengths"),
        ),
    ),
)

# fmt: off
_WORD_POOL = (
    "ant", "area", "base", "rest", "tone", "note", "stone", "inner", "rose", "arise", "sea", "tree", "eat",
    "ten", "noon", "level", "radar", "sort", "star", "iron", "nose", "rain", "train", "salt", "art", "onion",
    "sir", "tin", "era", "nine", "toast", "event",
)
# fmt: on


def _text(rng: random.Random) -> tuple[object, ...]:
    words = [rng.choice(_WORD_POOL) for _ in range(rng.randrange(1, 4))]
    if rng.random() < 0.4:
        words.append(str(rng.randrange(0, 300)))
    text = " ".join(words)
    return (text.title() if rng.random() < 0.3 else text,)


def _sentence(rng: random.Random) -> tuple[object, ...]:
    words = [rng.choice(_WORD_POOL) for _ in range(rng.randrange(2, 7))]
    if rng.random() < 0.4:
        words.append(words[0])
    return (" ".join(words),)


def _program(
    family: str,
    steps: list[Drawn],
    returns: ValueType,
    result: Drawn,
    *,
    rng: random.Random,
    bodies: dict[Language, list[str]],
) -> Program:
    name, parameters = rng.choice(NAMES), (Parameter(name="text", type="str"),)
    subjects = {"string": ("a string", "the text"), "words": ("the words of a sentence", "the words of the text")}[
        family
    ]

    def describe(words: random.Random | None) -> str:
        said = subjects[0] if words is None else words.choice(subjects)
        return recipe(said, [s.phrase(words) for s in steps], result.phrase(words), rng=words)

    return Program(
        family=family,
        kinds=(*(s.kind for s in steps), result.kind),
        name=name,
        parameters=parameters,
        returns=returns,
        code={
            language: function(language, name=name, parameters=parameters, returns=returns, body=bodies[language])
            for language in WRITTEN
        },
        describe=describe,
        sample_input=_text if family == "string" else _sentence,
    )


def draw_string_program(rng: random.Random, *, long: bool = False) -> Program:
    """Draw a chain over a string: up to three distinct steps, or up to six when `long`."""
    steps: list[Drawn] = []
    for _ in range(rng.choice((4, 5, 6) if long else (1, 2, 2, 3))):
        step = draw(rng, _STEPS)
        if step.kind not in {s.kind for s in steps}:
            steps.append(step)
    returns, result_step = rng.choice(_RESULTS)
    result = draw(rng, (result_step,))
    end = {_PY: "", _JAVA: ";", _CS: ";"}
    bodies = {
        language: [
            *(f"text = {s.fragment(language)}{end[language]}" for s in steps),
            f"return {result.fragment(language)}{end[language]}",
        ]
        for language in WRITTEN
    }
    return _program("string", steps, returns, result, rng=rng, bodies=bodies)


def _long_word_steps(rng: random.Random) -> list[Drawn]:
    filters = [Drawn(step=s, k=rng.choice(s.constants)) for s in rng.sample(_WORD_FILTERS, 2)]
    return [*filters, draw(rng, _WORD_ORDERS), draw(rng, _WORD_MAPS)]


def _word_steps(rng: random.Random) -> list[Drawn]:
    pools = rng.choice(
        (
            (_WORD_FILTERS,),
            (_WORD_MAPS,),
            (_WORD_FILTERS, _WORD_MAPS),
            (_WORD_FILTERS, _WORD_ORDERS),
            (_WORD_ORDERS, _WORD_MAPS),
            (_WORD_MAPS, _WORD_ORDERS),
            (_WORD_FILTERS, _WORD_ORDERS, _WORD_MAPS),
        )
    )
    return [draw(rng, pool) for pool in pools]


def _word_bodies(steps: list[Drawn], result: Drawn) -> dict[Language, list[str]]:
    filters, maps = {s.kind for s in _WORD_FILTERS}, {s.kind for s in _WORD_MAPS}
    python, java, csharp = ["words = text.split()"], 'Arrays.stream(text.split(" "))', "text.Split(' ')"
    for step in steps:
        py, jv, cs = (step.fragment(language) for language in (_PY, _JAVA, _CS))
        if step.kind in filters:
            py, jv, cs = f"[w for w in words if {py}]", f".filter(w -> {jv})", f".Where(w => {cs})"
        elif step.kind in maps:
            py, jv, cs = f"[{py} for w in words]", f".map(w -> {jv})", f".Select(w => {cs})"
        python.append(f"words = {py}")
        java += jv
        csharp += cs
    cast = "(int) " if result.kind == "count" else ""
    end = result.fragment(_CS)
    csharp = end.replace("WORDS", csharp) if result.kind == "join" else f"{csharp}{end}"
    return {
        _PY: [*python, f"return {result.fragment(_PY)}"],
        _JAVA: [f"return {cast}{java}{result.fragment(_JAVA)};"],
        _CS: [f"return {csharp};"],
    }


def draw_words_program(rng: random.Random, *, long: bool = False) -> Program:
    """Draw a pipeline over the words of a sentence: up to three steps, or four when `long`."""
    steps = _long_word_steps(rng) if long else _word_steps(rng)
    returns, result_step = rng.choice(_WORD_RESULTS)
    result = draw(rng, (result_step,))
    return _program("words", steps, returns, result, rng=rng, bodies=_word_bodies(steps, result))
