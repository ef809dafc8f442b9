"""A run is finished when every ECG was tested, with a network that was trained to its end; its records say so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ecg_lightning.data.targets import TargetInfo, known_info
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.sealing import record_of
from ecg_lightning.runs.search import is_run_folder
from ecg_lightning.storage.manifest import StoreError
from ecg_lightning.storage.readers import DamagedFileError
from ecg_lightning.storage.store import RowStore

TEST_SET: Final = "n_test_set"
INCOMPLETE: Final = "incomplete"
UNFINISHED_FIT: Final = "unfinished_fit"
"""Keys of ``test.done.json``; ``n_ecgs`` is how many of the test set were tested."""

TARGET_INFO: Final = "target_info"
"""Key of both records: title, kind and unit of the target."""

WITHOUT_LIMITS: Final = "run `test` without limit_test_batches (and without fast_dev_run)"
_SHOWN: Final = 3


def why_partial(paths: RunPaths) -> str | None:
    """Why a test that has ended is not a finished one, with the remedy, in words.

    Args:
        paths: Of the run.

    Returns:
        None where it is finished, has not ended, or where its record or its logits are damaged, which is told by who
        looks at the seals.
    """
    try:
        record = record_of(paths, "test")
        return None if record is None else _why_partial(record, paths)
    except (DamagedFileError, StoreError, OSError):
        return None


def target_info_of(paths: RunPaths) -> TargetInfo:
    """What a finished run says of its target; of an earlier version's, what is known of the name."""
    for stage in ("test", "fit"):
        if content := (record_of(paths, stage) or {}).get(TARGET_INFO):
            return TargetInfo.from_dict(content)
    return known_info(paths.path.parent.name)


def unfinished_fit(checkpoint: Path) -> RunPaths | None:
    """The run folder that a checkpoint lies in, where that run's ``fit`` has not come to its end; else None."""
    paths = RunPaths(checkpoint.absolute().parent.parent)
    if checkpoint.absolute().parent != paths.checkpoints or not is_run_folder(paths.path):
        return None  # of another project, which has no such records
    return None if paths.fit_record.is_file() else paths


def _why_partial(record: Mapping[str, Any], paths: RunPaths) -> str | None:
    tested, wanted = _counts(record, paths)
    if tested < wanted:
        return f"{tested} of {wanted} test ECGs were tested: {WITHOUT_LIMITS}"
    if lacking := record.get(INCOMPLETE):
        stores = [f"{name} has {done} of {rows} ECGs" for name, (done, rows) in lacking.items()]
        more = f", and {len(stores) - _SHOWN} more stores lack some" if len(stores) > _SHOWN else ""
        return f"{', '.join(stores[:_SHOWN])}{more}: {WITHOUT_LIMITS}"
    if record.get(UNFINISHED_FIT):
        return (
            f"the network that was tested is of {record[UNFINISHED_FIT]}, and its fit was not finished: give `fit` "
            "again, which goes on where it was, and then `test --on_mismatch replace`"
        )
    return None


def _counts(record: Mapping[str, Any], paths: RunPaths) -> tuple[int, int]:
    """How many ECGs were tested, and how many there are."""
    if TEST_SET in record:
        return int(record["n_ecgs"]), int(record[TEST_SET])
    done = RowStore.open(paths.logits).done  # records of earlier versions count the test set only
    return int(done.sum()), len(done)
