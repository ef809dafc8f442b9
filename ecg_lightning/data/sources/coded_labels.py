"""Labels of an ECG in an archive with many codes: those that ECGs of the same codes share, and its own."""

from collections.abc import Iterator, Mapping

from ecg_lightning.ecg import Target


class CodedLabels(Mapping[Target, float]):
    """A mapping of two; a hundred labels of each of a million ECGs would not fit into memory as dictionaries.

    Args:
        own: Target -> label, of this ECG.
        shared: Of every ECG with the same codes; ``own`` comes before it.
    """

    __slots__ = ("_own", "_shared")

    def __init__(self, own: Mapping[Target, float], shared: Mapping[Target, float]) -> None:
        self._own, self._shared = own, shared

    def __getitem__(self, target: Target) -> float:
        return self._own[target] if target in self._own else self._shared[target]

    def __iter__(self) -> Iterator[Target]:
        yield from self._shared
        yield from (target for target in self._own if target not in self._shared)

    def __len__(self) -> int:
        return len(self._own.keys() | self._shared.keys())

    def __repr__(self) -> str:
        return repr(dict(self))
