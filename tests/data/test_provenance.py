"""A network is tested on the split that it was trained with."""

import pytest

from ecg_lightning.data.provenance import DataProvenance

TRAINED = DataProvenance("synthetic", "abc", 16.0, "keep", "patients", 0)


def test_another_number_of_held_out_patients_would_test_training_patients() -> None:
    now = DataProvenance("synthetic", "abc", 16.0, "keep", "patients", 0, held_out_patients=50)
    with pytest.raises(ValueError, match=r"data.held_out_patients: \(absent\) then, 50 now"):
        now.check_trained_on(TRAINED.as_dict())


def test_checkpoints_from_before_that_setting_are_as_good_as_ever() -> None:
    earlier = {name: value for name, value in TRAINED.as_dict().items() if name != "held_out_patients"}
    TRAINED.check_trained_on(earlier)
    with pytest.raises(ValueError, match="held_out_patients"):
        DataProvenance("synthetic", "abc", 16.0, "keep", "patients", 0, 50).check_trained_on(earlier)
