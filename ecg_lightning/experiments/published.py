"""Numbers of the published study, each with what a study of one's own has in its place."""

from collections.abc import Callable
from typing import NamedTuple

from ecg_lightning.runs.study_runs import StudyRuns


class Published(NamedTuple):
    """One number or claim of the paper (Arends et al., Signal or noise?).

    Attributes:
        key: Short name.
        what: The quantity in words.
        value: The number as printed.
        where: Section, figure or table.
        own: What a study has in its place; a dash for nothing.
    """

    key: str
    what: str
    value: str
    where: str
    own: Callable[[StudyRuns], str]
