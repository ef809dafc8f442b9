"""``--network CARD`` stands for the settings of a network that was trained elsewhere, and of what it reads."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from ecg_lightning.cards.card import load_card

OPTION: Final = "--network"
STAGES: Final = ("validate", "test", "predict", "tune")
"""Commands that a network needs no training for."""


def with_card(words: Sequence[str]) -> list[str]:
    """Put the settings of a card behind the words: configurations name other networks.

    Args:
        words: Of the command line.

    Raises:
        CardError: The card can't be read.
        SystemExit: It is given to a command that trains.
    """
    given = list(words)
    card = next((value for option, value in _options(given) if option == OPTION), None)
    if card is None:
        return given
    if given[0] not in STAGES:
        raise SystemExit(f"{OPTION} is of a network that is trained already: give it to {', '.join(STAGES)}")
    reads = load_card(card).reads
    settings = {"model.network": "ecg_lightning.cards.CardedNetwork", "model.network.card": card}
    if reads.of == "recording" and not any(option.startswith("--data.representation") for option, _ in _options(given)):
        window = "data.representation"
        settings |= {
            window: "ecg_lightning.data.representations.RecordingWindow",
            f"{window}.leads": json.dumps(list(reads.leads)),
            f"{window}.sampling_rate": f"{reads.sampling_rate:g}",
            f"{window}.seconds": f"{reads.samples / reads.sampling_rate:.17g}",
        }
    return [*given, *(word for name, value in settings.items() for word in (f"--{name}", value))]


def _options(words: Sequence[str]) -> list[tuple[str, str]]:
    """Option and value, of ``--option=value`` and of ``--option value``."""
    split = [(*word.partition("=")[::2], following) for word, following in pairwise([*words, ""])]
    return [(option, value or following) for option, value, following in split]
