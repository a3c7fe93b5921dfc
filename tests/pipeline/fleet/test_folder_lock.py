"""Two fleets do not write into one folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.fleet.folder_lock import folder_of_ones_own


def test_a_folder_is_one_fleets_until_it_ends(tmp_path: Path) -> None:
    out = tmp_path / "deployments" / "fleet"
    with folder_of_ones_own(out):
        with pytest.raises(UsageError, match="another fleet writes here\n  fix: wait"), folder_of_ones_own(out):
            pass
        with folder_of_ones_own(tmp_path / "other"):
            pass
    with folder_of_ones_own(out):
        pass
