import numpy as np

from ecg_lightning.storage.installed_versions import installed_versions
from ecg_lightning.version import __version__


def test_versions_of_what_is_installed_and_what_is_not() -> None:
    assert installed_versions(["numpy", "no-such-package"]) == {
        "ecg_lightning": __version__,
        "numpy": np.__version__,
        "no-such-package": "not installed",
    }
