"""What the tests of code quality share: fixtures that skip, visibly, where a tool is not installed."""

import pytest

from evaluators.quality.mcs import mcs_version
from evaluators.quality.outcome import MissingTool
from evaluators.quality.pmd import pmd_version


@pytest.fixture(scope="session")
def needs_pmd() -> None:
    """PMD 7 and a JDK."""
    try:
        pmd_version()
    except MissingTool as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def needs_mcs() -> None:
    """mono with its C# compiler."""
    try:
        mcs_version()
    except MissingTool as error:
        pytest.skip(str(error))
