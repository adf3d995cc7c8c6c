"""Files of a data root, as they are offered to nodes and compared with a node's own; over Ray: test_cluster_watch."""

import os
from pathlib import Path

from orchestrator.work.delivery import Listed, _below, listed, packages_for_workers, root_here


def test_source_is_a_file_or_all_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sets" / "deep").mkdir(parents=True)
    for name in ("sets/a.csv", "sets/deep/b.csv", "sets.csv"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(7, 7))
    both = [Listed("sets/a.csv", 10, 7), Listed("sets/deep/b.csv", 15, 7)]
    assert listed(tmp_path, "sets") == both
    assert listed(tmp_path, "sets.csv") == [Listed("sets.csv", 8, 7)]
    assert listed(tmp_path, "absent") == []
    assert len(listed(tmp_path, ".")) == 3
    everything = [*both, Listed("sets.csv", 8, 7)]
    assert _below(everything, "sets/") == both, "a name that begins alike is another"
    assert _below(everything, ".") == everything


def test_data_are_read_where_they_are_without_a_cluster(tmp_path: Path) -> None:
    assert root_here(tmp_path, ["absent.csv"]) == tmp_path


def test_packages_are_this_projects_and_hold_no_environment() -> None:
    told = packages_for_workers()
    assert set(told) == {"py_modules", "excludes"}
    assert all((Path(package) / "__init__.py").is_file() for package in told["py_modules"])
