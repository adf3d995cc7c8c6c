"""The founding study's two failures on some of its own pairs: seen, and of no use to anybody."""

from pathlib import Path

import pytest

from tasks.records import Language

pytestmark = pytest.mark.slow


@pytest.mark.data
@pytest.mark.parametrize(("source", "target"), [(Language.JAVA, Language.CSHARP), (Language.CSHARP, Language.JAVA)])
def test_broken_outputs_are_flagged_and_look_no_better(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Language, target: Language
) -> None:
    from benchmarks.flattery import problems_of, replay
    from benchmarks.snippets import translation_pairs

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = replay(problems_of(translation_pairs(data_root)[:60], source, target))
    assert found["faults"] == []
    assert found["parsing"]["emptied"] == 60 - 41
    assert found["parsing"]["first letter lost"] < 10
