"""Network cards: what a card says, and what is told of one that says it wrongly."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ecg_lightning.cards import CardError, load_card
from ecg_lightning.ecg import MEDIAN_BEAT

CARD: dict[str, Any] = {
    "class_path": "somebody.Net",
    "reads": {"leads": ["I", "II"], "sampling_rate": 100, "samples": 50},
    "gives": {"names": ["AF", "SB"], "targets": {"atrial_fibrillation": "AF", "sinus_bradycardia": 1}},
}


def written(folder: Path, content: object) -> Path:
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def changed(**parts: object) -> dict[str, Any]:
    """The card with some keys, ``reads__unit`` for a nested one, changed."""
    card = {key: dict(value) if isinstance(value, dict) else value for key, value in CARD.items()}
    for name, value in parts.items():
        *outer, key = name.split("__")
        (card[outer[0]] if outer else card)[key] = value
    return card


def test_a_card_is_read(tmp_path: Path) -> None:
    card = load_card(written(tmp_path, changed(reads__unit="uV", gives__thresholds={"sinus_bradycardia": 0.2})))
    assert card.reads.leads == ("I", "II")
    assert (card.reads.sampling_rate, card.reads.unit, card.reads.layout) == (100.0, "uV", "lead_time")
    assert [card.gives.index(target) for target in ("atrial_fibrillation", "sinus_bradycardia")] == [0, 1]
    assert card.gives.thresholds == {"sinus_bradycardia": 0.2}
    assert card.folder == tmp_path
    beats = {"leads": list(MEDIAN_BEAT.leads), "sampling_rate": 500, "samples": 600, "of": "median_beat"}
    assert load_card(written(tmp_path, changed(reads=beats))).reads.signal_format == MEDIAN_BEAT


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"gives__targets": {}}, r"card\.yaml: gives\.targets: expected at least one line"),
        ({"gives__targets": {"x": "RBBB"}}, r"targets\.x: no output is called 'RBBB'; names: AF, SB"),
        ({"gives__targets": {"x": 2}}, r"targets\.x: expected an index from 0 to 1, got 2"),
        ({"gives__targets": {"x": True}}, r"gives\.targets\.x: expected a whole number, got True"),
        ({"gives__kind": "odds"}, r"gives\.kind: expected one of logit, probability, got 'odds'"),
        ({"gives__thresholds": {"sinus_rhythm": 0.4}}, r"thresholds\.sinus_rhythm: expected a probability"),
        ({"gives__thresholds": {"sinus_bradycardia": 1.5}}, r"thresholds\.sinus_bradycardia.*got 1\.5"),
        ({"reads__units": "uV"}, r"card\.yaml: reads: there is no key 'units'; did you mean unit\?"),
        ({"reads__samples": 50.5}, r"reads\.samples: expected a whole number, got 50\.5"),
        ({"reads__samples": "fifty"}, r"reads\.samples: expected a whole number, got 'fifty'"),
        ({"reads__sampling_rate": None}, r"reads\.sampling_rate: expected a number, got nothing"),
        ({"reads__sampling_rate": 0}, r"reads\.expected samples and a rate, got 50 samples at 0\.0 Hz"),
        ({"reads__leads": ["I", "I"]}, r"reads\.leads: expected different names, got I, I"),
        ({"reads__gain": 0}, r"reads\.gain: expected a number other than 0"),
        ({"reads__of": "median_beat"}, r"reads\.of: a median beat has 8 leads x 600 samples"),
        ({"reads__standardise": "given"}, r"reads\.mean: expected one number or 2, one a lead, got 0"),
        ({"reads__mean": [1.0]}, r"reads\.mean: only `standardise: given` reads it"),
        (
            {"reads": {**CARD["reads"], "standardise": "given", "mean": 0, "deviation": [1, 0]}},
            r"reads\.deviation: expected positive numbers",
        ),
        ({"reads": [1]}, r"card\.yaml: reads: expected leads, sampling_rate.*got \[1\]"),
        ({"class_path": 3}, r"class_path: expected a text, got 3"),
        ({"wieghts": {}}, r"card\.yaml: there is no key 'wieghts'; did you mean weights\?"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path: Path, parts: dict[str, object], said: str) -> None:
    with pytest.raises(CardError, match=said):
        load_card(written(tmp_path, changed(**parts)))


def test_a_file_that_is_no_card(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"none\.yaml: there is no such network card"):
        load_card(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(CardError, match=r"broken\.yaml: no YAML"):
        load_card(tmp_path / "broken.yaml")
    without = {key: value for key, value in CARD.items() if key != "reads"}
    with pytest.raises(CardError, match=r"card\.yaml: the key reads is missing"):
        load_card(written(tmp_path, without))
    with pytest.raises(CardError, match="expected class_path, reads, gives"):
        load_card(written(tmp_path, ["a"]))
