"""The codes of an archive and the targets they mean, read from the YAML files in ``labels/``."""

from collections.abc import Iterable, Mapping
from importlib.resources import files

from omegaconf import OmegaConf

from ecg_lightning.ecg import TARGETS, Target


def load_label_map(archive: str) -> dict[str, Target]:
    """Read ``labels/<archive>.yaml``: code -> target.

    Args:
        archive: Name of the file, without its ending.

    Returns:
        Code, as a string -> target.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A code means something that is not one of the nine targets.
    """
    resource = files("ecg_lightning.data.sources") / "labels" / f"{archive}.yaml"
    if not resource.is_file():
        raise FileNotFoundError(
            f"no label map for {archive!r}: expected the file {resource}, with lines 'code: target'"
        )
    raw = OmegaConf.to_container(OmegaConf.create(resource.read_text(encoding="utf-8")))
    return check_label_map({str(code): str(target) for code, target in dict(raw).items()}, str(resource))  # type: ignore[arg-type]


def check_label_map(raw: Mapping[str, str], where: str) -> dict[str, Target]:
    """Check that every code means one of the nine targets.

    Raises:
        ValueError: Names the codes and the file.
    """
    wrong = {code: target for code, target in raw.items() if target not in TARGETS}
    if wrong:
        raise ValueError(f"{where}: codes {wrong} mean no target; the targets are {', '.join(TARGETS)}")
    by_name: dict[str, Target] = {target: target for target in TARGETS}
    return {code: by_name[target] for code, target in raw.items()}


def labels_of(codes: Iterable[str], label_map: Mapping[str, Target]) -> dict[Target, float]:
    """Turn the codes of one ECG into labels.

    Args:
        codes: The codes that the archive gives this ECG.
        label_map: Code -> target.

    Returns:
        Every target of the map -> 1.0 where one of its codes is there, else 0.0. A target that the map does not
        know is not in the result: the archive never labels it, so it is missing and not negative.
    """
    present = {label_map[code] for code in codes if code in label_map}
    return {target: float(target in present) for target in TARGETS if target in label_map.values()}
