"""Tables of a study are read once, until they are written again."""

from pathlib import Path

import pandas as pd
import pytest

from ecg_lightning.runs import study_runs
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.atomic import write_parquet_atomic


def test_a_table_is_read_once_until_it_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, reads, read = StudyRuns(StudyFolder(tmp_path), {}, [], IntervalSettings()), [], study_runs.read_table
    monkeypatch.setattr(study_runs, "read_table", lambda *given: reads.append(given) or read(*given))
    assert runs.study_table("mine").empty
    for content in ([1, 2], [3]):
        reads.clear()
        write_parquet_atomic(tmp_path / "tables/mine.parquet", pd.DataFrame({"number": content}))
        for _ in range(3):
            table = runs.study_table("mine")
            assert table["number"].tolist() == content
            table["number"] = 0  # what one reader does to it, no other one sees
        assert len(reads) == 1
