"""The scores of a tested network, as ``metrics.json`` keeps them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecg_lightning.runs.sealing import TEST_AGAIN
from ecg_lightning.storage.readers import DamagedFileError, read_json


def read_metrics(path: Path) -> dict[str, Any]:
    """Read the scores; a ``null`` there is NaN here.

    Args:
        path: Of ``metrics.json``.

    Raises:
        DamagedFileError: It is no JSON, or holds no mapping; or a score is asked for that it lacks.
    """
    content = read_json(path, TEST_AGAIN)
    if not isinstance(content, dict):
        raise DamagedFileError(path, f"it holds a {type(content).__name__}, expected a mapping", TEST_AGAIN)
    return _Metrics(path, {name: _with_nan(value) for name, value in content.items()})


class _Metrics(dict[str, Any]):
    """Scores that say which file lacks one."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise DamagedFileError(self._path, f"it lacks the key {name}", TEST_AGAIN)


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return float("nan") if value is None else value
