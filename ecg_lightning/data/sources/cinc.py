"""PhysioNet/CinC Challenges 2020 and 2021: 88,253 public ECGs of eight archives.

Perez Alday et al., Physiol Meas 2020;41:124003; Reyna et al., Computing in Cardiology 2021; PhysioNet, CC BY 4.0.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from ecg_lightning.data.sources.archive import Archive
from ecg_lightning.data.sources.base import Entry, Recording, RejectedEntry
from ecg_lightning.data.sources.coded_labels import CodedLabels
from ecg_lightning.data.sources.files import walk
from ecg_lightning.data.sources.label_map import LabelMap
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.sources.wfdb_files import Header, read_header, read_mat, read_wfdb
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.ecg import Target
from ecg_lightning.signal.plausibility import MIN_SECONDS
from ecg_lightning.storage.hashing import new_digest

_GET_IT: Final = (
    "get the training data from https://physionet.org/content/challenge-2021/1.0.3/ and give a folder that holds "
    "records (.hea and .mat) at any depth as the root"
)
_SUFFIX: Final = ".hea"
_PARTS: Final = {"A": "CPSC", "Q": "CPSC_Extra", "I": "StPetersburg", "S": "PTB", "HR": "PTB_XL", "E": "Georgia"}
_LAST_OF_CHAPMAN: Final = 10_646  # of 45,152 ECGs with names in JS, the first 10,646 numbers; the others are Ningbo's
_NAME: Final = re.compile(r"(A|Q|I|S|HR|E|JS)(\d+)")
_CODE: Final = "snomed_"
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_GEORGIA: Final = re.compile(r"E\d{5}")
_WRONG_GAIN, _RIGHT_GAIN = 4880.0, 1000.0
_SEXES: Final = {"male": "male", "m": "male", "female": "female", "f": "female"}
_UNKNOWN: Final = ("", "unknown", "nan", "none")
_HIDDEN_AGE, _OLDEST, _LONGEST_LIFE = 300.0, 90.0, 120.0


@dataclass(frozen=True)
class _Comments:
    """What the comments of a header say; ``codes`` is None where they do not say."""

    age: float
    sex: str
    codes: tuple[str, ...] | None


class Cinc(Archive):
    """Records of the PhysioNet/CinC Challenges 2020 and 2021, in any nesting of folders.

    Labels are SNOMED CT codes (``labels/cinc.yaml``); any code that occurs is a target too, ``snomed_<code>``, and
    missing in the sub-archives in which no ECG has it. A target whose codes do not occur in a whole sub-archive, by the
    challenge's tables, is missing there and not negative (``never_labelled`` in that file); the sub-archive
    is known by the record's name. An ECG without the comment ``#Dx`` has no labels at all. Two archives call only
    *normal* ECGs sinus rhythm (CPSC, PTB): a negative ``sinus_rhythm`` there means little.

    The challenge does not identify patients: every ECG counts as a patient of its own, and ECGs of one patient may
    stand on both sides of a split. Nor are the ECGs all new: those called ``HR#####`` are PTB-XL's, so a network
    trained on PTB-XL must not be tested on them.

    Headers of the first Georgia release (``E#####``) say 4880 steps per mV where it is 1000; that gain in a
    record of that name, and nowhere else, is corrected.

    Args:
        root: A folder that holds records at any depth.
        label_map: A YAML file to use instead of ``labels/cinc.yaml``.
        max_seconds: Later samples are left out: St Petersburg's records last 30 min, CPSC's up to 144 s.

    Raises:
        ValueError: ``max_seconds`` is under 3.
    """

    name = "cinc"
    shipped_labels = "cinc"

    def __init__(self, root: str | Path, label_map: str | None = None, max_seconds: float = 10.0) -> None:
        if not (math.isfinite(max_seconds) and max_seconds >= MIN_SECONDS):
            raise ValueError(f"max_seconds: expected at least {MIN_SECONDS:g} s, got {max_seconds}")
        super().__init__(root, label_map)
        self.max_seconds = max_seconds

    def entries(self) -> Sequence[Entry]:
        """List every ECG below the root, sorted by path; only headers are read.

        The id of an ECG is the record's name; where a name occurs in several folders, the path below the root.

        Raises:
            FileNotFoundError: There is no record; says how to get some.
            ValueError: No code of the label map occurs.
        """
        label_map = self._labels_that_occur()
        return [self._entry(ecg_id, said, label_map) for ecg_id, said in self._scan[0].items()]

    def _entry(self, ecg_id: str, said: _Comments | str, label_map: LabelMap) -> Entry:
        if isinstance(said, str):
            return RejectedEntry.of(ecg_id, said, UnreadableError.kind)
        labels = {} if said.codes is None else self._labels_of(ecg_id, said.codes, label_map)
        return Entry(ecg_id=ecg_id, patient_id=ecg_id, age=said.age, sex=said.sex, labels=labels)

    def _labels_of(self, ecg_id: str, codes: tuple[str, ...], label_map: LabelMap) -> CodedLabels:
        """Labels by the map, and of each code; the ECGs of a sub-archive share those that are absent."""
        part = part_of(Path(ecg_id).name)
        present = dict.fromkeys(_targets_of(codes), 1.0)
        return CodedLabels({**present, **label_map.labels(codes, part)}, self._absent[part])

    @cached_property
    def _absent(self) -> dict[str | None, dict[Target, float]]:
        """Sub-archive -> every code that an ECG of it has, as a target that is absent."""
        found: dict[str | None, set[Target]] = {}
        for ecg_id, said in self._scan[0].items():
            codes = said.codes or () if isinstance(said, _Comments) else ()
            found.setdefault(part_of(Path(ecg_id).name), set()).update(_targets_of(codes))
        return {part: dict.fromkeys(sorted(targets), 0.0) for part, targets in found.items()}

    def targets(self) -> Mapping[Target, TargetInfo]:
        """Describe the nine, every code that occurs, and what the label map defines."""
        mapped = super().targets()
        codes = _targets_of(self._code_counts).items()
        named = {name: TargetInfo(name, f"SNOMED CT {code}", code) for name, code in codes}
        return {**mapped, **named, **mapped}

    def read(self, entry: Entry) -> Recording:
        """Read one record of the challenge.

        Raises:
            RecordingError: A file is missing, truncated, damaged or outside of its header's folder, or its unit is
                unknown.
            KeyError: The entry is not of this source.
        """
        path = self._files[entry.ecg_id]
        header = correct_gain(read_header(path))
        if header.signals and all(line.file.lower().endswith(".dat") for line in header.signals):
            recording = read_wfdb(path.with_name(path.name.removesuffix(_SUFFIX)))
            samples = round(self.max_seconds * recording.sampling_rate)
            return replace(recording, signal=recording.signal[:, :samples])
        return read_mat(header, self.max_seconds)

    def settings(self) -> dict[str, object]:
        """Return a digest of all headers with their paths below the root, the label map, and the length."""
        return {
            "headers_blake2b": self._scan[1],
            "label_map": dict(self._labels.codes),
            "never_labelled": {part: list(targets) for part, targets in self._labels.never_labelled.items()},
            "max_seconds": self.max_seconds,
        }

    @cached_property
    def _files(self) -> dict[str, Path]:
        """ECG id -> its header, sorted by path."""
        found = sorted(_headers(self.root))
        if not found:
            raise FileNotFoundError(f"{self.root}: no .hea file in or below it; {_GET_IT}")
        times = Counter(path.name for path in found)
        return {
            path.stem if times[path.name] == 1 else path.relative_to(self.root).with_suffix("").as_posix(): path
            for path in found
        }

    @cached_property
    def _scan(self) -> tuple[dict[str, _Comments | str], str]:
        """Comments of every header by ECG id, or why it can't be read; and a digest of the headers."""
        digest = new_digest()
        comments: dict[str, _Comments | str] = {}
        for ecg_id, path in self._files.items():
            try:
                content = path.read_bytes()
            except OSError as error:
                comments[ecg_id] = f"{path}: can't be read ({error.strerror}); mend the link or the file"
                continue
            digest.update(f"{path.relative_to(self.root).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
            comments[ecg_id] = parse_comments(content.decode("utf-8", errors="replace"))
        return comments, digest.hexdigest()

    @property
    def _codes(self) -> Sequence[Sequence[str]]:
        return [one.codes or () for one in self._scan[0].values() if isinstance(one, _Comments)]


def _targets_of(codes: Iterable[str]) -> dict[Target, str]:
    """Target -> the code that it is; without those that are no numbers."""
    return {f"{_CODE}{code}": code for code in codes if _NUMBER.fullmatch(code)}


def _headers(root: Path) -> Iterator[Path]:
    for folder, names in walk(root):
        yield from (folder / name for name in names if name.endswith(_SUFFIX) and name[0] != ".")


def part_of(record: str) -> str | None:
    """Return the sub-archive of a record by its name, as the challenge's tables call it; None for another name.

    Args:
        record: Such as ``HR00599`` (PTB_XL) or ``JS10647`` (Ningbo).
    """
    name = _NAME.fullmatch(record)
    if name is None:
        return None
    prefix, number = name.groups()
    if prefix == "JS":
        return "Chapman_Shaoxing" if int(number) <= _LAST_OF_CHAPMAN else "Ningbo"
    return _PARTS[prefix]


def correct_gain(header: Header) -> Header:
    """Give records of the first Georgia release their gain.

    Only a record with a name of that archive (``E`` and five digits) and with exactly its wrong gain, 4880 per mV, is
    changed; left alone it would be 4.88 times too small.

    Args:
        header: Any record's header.
    """
    if not _GEORGIA.fullmatch(header.path.stem):
        return header
    signals = (replace(s, gain=_RIGHT_GAIN) if s.gain == _WRONG_GAIN else s for s in header.signals)
    return replace(header, signals=tuple(signals))


def parse_comments(text: str) -> _Comments:
    """Read age, sex and codes from the comments of a header (``#Age: 54``, or ``# Age: 54``).

    Ages that are no number, or not of a person, are unknown; 300, PTB-XL's code for over 89, becomes 90.

    Args:
        text: Text of the header.
    """
    pairs = (line.lstrip("# \t").partition(":") for line in text.splitlines() if line.startswith("#"))
    said = {key.strip().lower(): value.strip() for key, _, value in pairs}
    codes = said.get("dx", "")
    return _Comments(
        age=_age(said.get("age", "")),
        sex=_SEXES.get(said.get("sex", "").lower(), "unknown"),
        codes=None if codes.lower() in _UNKNOWN else tuple(code.strip() for code in codes.split(",") if code.strip()),
    )


def _age(text: str) -> float:
    try:
        age = float(text)
    except ValueError:
        return math.nan
    if age == _HIDDEN_AGE:
        return _OLDEST
    return age if 0.0 <= age <= _LONGEST_LIFE else math.nan
