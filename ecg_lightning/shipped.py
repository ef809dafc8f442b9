"""Files that come with the package: configurations are found in a checkout and in an installed wheel alike."""

from importlib.resources import files
from pathlib import Path
from typing import Final

CONFIGS: Final = "configs"


def find_config(path: str | Path) -> Path:
    """A configuration file: as it is named, else the shipped one of that name.

    Args:
        path: Such as ``configs/fit.yaml``; below ``configs/`` it need not exist in the working directory.

    Returns:
        A path that exists.

    Raises:
        FileNotFoundError: There is none in either place; similar shipped files are named.
    """
    named = Path(path)
    if named.is_file():
        return named
    shipped = Path(str(files("ecg_lightning"))) / named
    if not named.is_absolute() and named.parts[:1] == (CONFIGS,) and shipped.is_file():
        return shipped
    raise FileNotFoundError(
        f"there is no configuration {named}, neither here ({Path.cwd()}) nor among those that come with the package: "
        f"{', '.join(shipped_configs())}"
    )


def shipped_configs() -> list[str]:
    """Names of the configurations that come with the package, such as ``configs/fit.yaml``."""
    root = Path(str(files("ecg_lightning")))
    return sorted(path.relative_to(root).as_posix() for path in (root / CONFIGS).rglob("*.yaml"))
