"""How the ECGs of a run came about, kept so that a network is not tested on data that it was not trained for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from lightning.pytorch.utilities import rank_zero_warn

from ecg_lightning.storage.hashing import differences


@dataclass(frozen=True)
class DataProvenance:
    """How the ECGs of a run came about.

    Attributes:
        source: Name of the source.
        source_settings: Hash of its settings and its table.
        min_age: Younger patients were left out.
        neighbours: What was done with neighbouring beats.
        representation: What of a recording is used, with its settings; None: its median beat.
        split: Rule of the split.
        split_seed: Seed of the split.
        held_out_patients: Number of patients in each of validation and test, where that was set.
        test_enrichment: What the test split was made to hold, where that was set.
    """

    source: str
    source_settings: str
    min_age: float
    neighbours: str
    split: str
    split_seed: int
    held_out_patients: int | None = None
    test_enrichment: Mapping[str, object] | None = None
    representation: Mapping[str, object] | None = None

    def as_dict(self) -> dict[str, object]:
        """Give the fields as a checkpoint keeps them."""
        return asdict(self)

    def check_trained_on(self, trained: Mapping[str, object]) -> None:
        """Refuse a network that was trained on beats made otherwise, or on ECGs of these test patients.

        Another source is fine: that is what an external validation is. With ``test_only`` so is another part of the
        same source, with a warning, because only the user can know whether patients are in both.

        Args:
            trained: ``as_dict`` of the data that the network was trained on.

        Raises:
            ValueError: The message names what differs, with both values.
        """
        now = self.as_dict()
        same_source = trained["source"] == now["source"]
        foreign = not same_source or self.split == "test_only"
        made = ["neighbours", "representation"]
        binding = made if foreign else [*made, "split", "split_seed", "held_out_patients"]
        if not foreign and self.split != "folds":  # folds are enriched within their test ECGs
            binding.append("test_enrichment")
        then, here = ({f"data.{name}": data.get(name) for name in binding} for data in (trained, now))
        lines = differences(then, here)
        if lines:
            raise ValueError(
                "the checkpoint was trained on other data: " + "; ".join(lines) + ". Repeat the settings of its "
                "`fit`, or train anew with these"
            )
        if same_source and foreign and trained["source_settings"] == now["source_settings"]:
            raise ValueError(
                f"the checkpoint was trained on these ECGs of {self.source}: `data.split: test_only` would test it on "
                f"its own training patients. Take data.split: {trained['split']}, as in its `fit`, or another source"
            )
        if same_source and any(trained[name] != now[name] for name in ("source_settings", "min_age")):
            rank_zero_warn(
                f"the checkpoint was trained on another version of {self.source}: patients that it was trained on "
                "may be among these ECGs"
            )
