"""GE MUSE: resting ECGs exported as XML, with the median beats of Marquette 12SL."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, get_args

import pandas as pd

from ecg_lightning.data.sources.archive import Archive
from ecg_lightning.data.sources.base import Entry, Recording, RejectedEntry
from ecg_lightning.data.sources.files import digest_of_sizes, sizes_below
from ecg_lightning.data.sources.label_map import LabelMap, count_codes, load_label_map
from ecg_lightning.data.sources.muse_header import MuseHeader, read_header
from ecg_lightning.data.sources.muse_labels import StatementLabels
from ecg_lightning.data.sources.muse_median import vendor_beat
from ecg_lightning.data.sources.muse_statements import Statement
from ecg_lightning.data.sources.muse_waveforms import read_waveform
from ecg_lightning.data.sources.muse_xml import read_tree
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.ecg import Target
from ecg_lightning.signal.beat import MedianBeat, Neighbours

Beats = Literal["vendor", "own"]

_SUFFIX: Final = ".xml"
_GET_IT: Final = "export resting ECGs from MUSE as XML and give a folder that holds them, at any depth, as the root"
_TOGETHER: Final = 256  # files a thread takes at once
_THREADS: Final = 16  # they wait for the disk: a network's takes milliseconds to open a file, its head 0.2 ms to read
_FEW: Final = 5
_RARE: Final = f"(typed by a reader, each in fewer than {_FEW} ECGs)"


class Muse(Archive):
    """Resting ECGs of GE's MUSE (``RestingECG``, ``restecg.dtd``), in any nesting of folders.

    The id of an ECG is its file's path below the root, so a name of a person in it goes with it everywhere. An ECG
    without ``PatientID`` counts as a patient of its own.

    Labels are the statements of the report, as a physician may have corrected it (``labels/muse.yaml``). A statement
    that is hedged or only contains the words of a target leaves that target missing; an ECG without a diagnosis has no
    labels at all.

    Args:
        root: A folder that holds ``.xml`` files at any depth.
        label_map: A YAML file to use instead of ``labels/muse.yaml``, such as one in another language.
        beats: ``vendor`` takes the median beats that 12SL has made, as the paper does (Methods, "ECG processing and
            outcome selection"); ``own`` makes them from the rhythm, as this project does for other archives.
        check_crc: Reject an ECG with a lead that does not fit the CRC-32 that its file states.

    Raises:
        ValueError: Another ``beats``.
    """

    name = "muse"
    shipped_labels = "muse"

    def __init__(
        self, root: str | Path, label_map: str | None = None, beats: Beats = "vendor", check_crc: bool = True
    ) -> None:
        if beats not in get_args(Beats):
            raise ValueError(f"Muse: beats must be one of {', '.join(get_args(Beats))}, got {beats!r}")
        super().__init__(root, label_map)
        self.beats: Beats = beats
        self.check_crc = check_crc

    def entries(self) -> Sequence[Entry]:
        """List every file below the root, sorted by path; only what stands before the waveforms is read.

        A file that can't be read is there too, with the reason to reject it.

        Raises:
            FileNotFoundError: There is no file; says how to get some.
            OSError: A folder can't be read.
            ValueError: No statement of the label map occurs.
        """
        self._labels_that_occur()
        known: dict[tuple[Statement, ...], Mapping[Target, float]] = {}  # a million ECGs have few different reports
        return [self._entry(name, header, known) for name, header in zip(self._files, self._headers, strict=True)]

    def _entry(
        self, name: str, header: MuseHeader | str, known: dict[tuple[Statement, ...], Mapping[Target, float]]
    ) -> Entry:
        if isinstance(header, str):
            shown = name.encode("utf-8", "backslashreplace").decode()
            return RejectedEntry.of(shown, header, UnreadableError.kind)
        said = header.statements
        if said and said not in known:
            known[said] = self._meaning.labels(said)
        return Entry(name, header.patient_id or name, header.age, header.sex, known[said] if said else {})

    def read(self, entry: Entry) -> Recording:
        """Read the rhythm of one file.

        Raises:
            RecordingError: The file is missing, truncated, not from MUSE or damaged, its unit is unknown, or it has no
                rhythm.
        """
        path = self._path(entry)
        recording = read_waveform(read_tree(path), "Rhythm", path, check_crc=self.check_crc)
        if recording is None:
            raise UnreadableError(f"{path}: no Rhythm waveform; export the ECG again, with its waveforms")
        return recording

    def beat(self, entry: Entry, neighbours: Neighbours = "keep") -> MedianBeat:
        """Return the median beat: 12SL's, or made from the rhythm.

        Raises:
            RecordingError: What ``vendor_beat``, or ``read`` and ``median_beat``, raise.
            ValueError: ``neighbours: blank`` for 12SL's beats.
        """
        if self.beats == "own":
            return super().beat(entry, neighbours)
        if neighbours != "keep":
            raise ValueError("data.neighbours: blank needs `beats: own`; 12SL's beats are used as they are (keep)")
        path = self._path(entry)
        return vendor_beat(read_tree(path), path, check_crc=self.check_crc)

    def table(self) -> pd.DataFrame:
        """Return what the files say as a table, to look at or to choose from.

        Returns:
            One line a readable file: ``ecg_id, patient_id, age, sex, acquired, device, statements``.
        """
        files = zip(self._files, self._headers, strict=True)
        headers = [(name, one) for name, one in files if isinstance(one, MuseHeader)]
        columns = ("patient_id", "age", "sex", "acquired", "device")
        content = {column: [getattr(one, column) for _, one in headers] for column in columns}
        reports = ["; ".join(said.text for said in one.statements or ()) for _, one in headers]
        return pd.DataFrame({"ecg_id": [name for name, _ in headers], **content, "statements": reports})

    def unmapped_codes(self) -> Mapping[str, int]:
        """Count statements that are not in the label map, with the number of ECGs that carry each.

        Of those that a reader has typed, which may name people, only those of five ECGs or more.
        """
        counts = self._unknown(typed=False)
        for words, n in self._unknown(typed=True).items():
            key = words if n >= _FEW or words in counts else _RARE
            counts[key] = counts.get(key, 0) + n
        return self._labels.unmapped(counts)

    def _unknown(self, *, typed: bool) -> dict[str, int]:
        counts = count_codes([one.text for one in said if one.typed == typed] for said in self._said)
        return {words: n for words, n in counts.items() if not self._meaning.is_code(words)}

    def settings(self) -> dict[str, object]:
        """Return a digest of all files' paths below the root and sizes, the label map, and the arguments.

        Contents are not in it: reading the heads of a million files takes minutes, at each start.
        """
        return {
            "files_blake2b": self._scan[1],
            "label_map": dict(self._labels.codes),
            "doubtful": {code: list(targets) for code, targets in self._labels.doubtful.items()},
            "may_mean": {target: list(words) for target, words in self._labels.may_mean.items()},
            "not_counted": list(self._labels.not_counted),
            "beats": self.beats,
            "check_crc": self.check_crc,
        }

    def _path(self, entry: Entry) -> Path:
        if isinstance(entry, RejectedEntry):
            raise UnreadableError(entry.reason)
        return self.root / entry.ecg_id

    @property
    def _files(self) -> list[str]:
        return self._scan[0]

    @cached_property
    def _scan(self) -> tuple[list[str], str]:
        """Paths of all files below the root, sorted, and a digest of paths and sizes."""
        sizes = sizes_below(self.root, lambda path: path.name.lower().endswith(_SUFFIX))
        if not sizes:
            raise FileNotFoundError(f"{self.root}: no {_SUFFIX} file in or below it; {_GET_IT}")
        return list(sizes), digest_of_sizes(sizes)

    @cached_property
    def _headers(self) -> list[MuseHeader | str]:
        """What each file says before its waveforms, or why it can't be read."""
        parts = [self._files[start : start + _TOGETHER] for start in range(0, len(self._files), _TOGETHER)]
        known: dict[Statement, Statement] = {}
        with ThreadPoolExecutor(_THREADS) as pool:
            return [_sharing(header, known) for part in pool.map(self._read_heads, parts) for header in part]

    def _read_heads(self, names: Sequence[str]) -> list[MuseHeader | str]:
        return [_read_head(self.root / name) for name in names]

    @property
    def _said(self) -> Iterator[tuple[Statement, ...]]:
        return ((one.statements or ()) if isinstance(one, MuseHeader) else () for one in self._headers)

    @property
    def _codes(self) -> Sequence[Sequence[str]]:
        return [[one.text for one in said] for said in self._said]

    @cached_property
    def _meaning(self) -> StatementLabels:
        return StatementLabels(load_label_map(self.shipped_labels, self.label_map))

    @cached_property
    def _labels(self) -> LabelMap:
        return self._meaning.label_map


def _read_head(path: Path) -> MuseHeader | str:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return f"{path!a}: its name is not UTF-8; rename the file"
    try:
        return read_header(read_tree(path, head_only=True))
    # One odd file in a million must not end the scan; it is on record, as in prepare.
    except Exception as error:
        return str(error) if isinstance(error, UnreadableError) else f"{path}: {type(error).__name__}: {error}"


def _sharing(header: MuseHeader | str, known: dict[Statement, Statement]) -> MuseHeader | str:
    """The same header, its statements shared with other files': a million reports would take 2 GB."""
    if isinstance(header, str) or header.statements is None:
        return header
    return replace(header, statements=tuple(known.setdefault(one, one) for one in header.statements))
