"""Studies by name: a name means the same in a folder and in a bucket."""

from pathlib import Path

import pytest
from small_studies import make_study

from orchestrator.errors import StudyError
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.studies import find_study, ledger_of
from orchestrator.run.opening import open_study
from orchestrator.run.planning import store_study
from orchestrator.study.cells import expand


def test_a_study_is_found_by_name_wherever_its_ledger_lies(ledger: Ledger, storage: str, tmp_path: Path) -> None:
    cells = expand(make_study(tmp_path))
    store_study(cells, ledger)
    found = find_study("small", storage=storage)
    assert found == cells.study.model_copy(update={"storage": storage})
    assert ledger_of(found).address == ledger.address
    again, _ = open_study("small", storage=storage)
    assert [trial.key("generate") for trial in again.trials] == [trial.key("generate") for trial in cells.trials]
    with pytest.raises(StudyError, match="did you mean small"):
        find_study("smal", storage=storage)


def test_a_study_file_keeps_its_own_storage_unless_another_is_given(tmp_path: Path) -> None:
    cells = expand(make_study(tmp_path))
    store_study(cells, ledger_of(cells.study))
    file = tmp_path / "runs" / "studies" / "small" / "study.json"
    assert find_study(file).storage == str(tmp_path / "runs")
    assert find_study(file, storage=tmp_path / "other 1: x").storage == str(tmp_path / "other 1: x")
