"""One undisturbed run that the campaigns of all modules disturb copies of."""

from __future__ import annotations

import pytest

from benchmarks.reliability.campaign import Campaign, begin


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """One undisturbed run."""
    return begin(tmp_path_factory.mktemp("campaign"), seed=1)
