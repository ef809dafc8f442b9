"""``--network CARD`` stands for the settings of a network that was trained elsewhere, and of what it reads."""

import json
from collections.abc import Sequence
from typing import Final

from ecg_lightning.cards.card import load_card
from ecg_lightning.command_line.typed_words import options_in

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
    card = next((value for option, value in options_in(given) if option == OPTION), None)
    if card is None:
        return given
    if given[0] not in STAGES:
        raise SystemExit(f"{OPTION} is of a network that is trained already: give it to {', '.join(STAGES)}")
    reads = load_card(card).reads
    settings = {"model.network": "ecg_lightning.cards.CardedNetwork", "model.network.card": card}
    chosen = any(option.startswith("--data.representation") for option, _ in options_in(given))
    if reads.of == "recording" and not chosen:
        window = "data.representation"
        settings |= {
            window: "ecg_lightning.data.representations.RecordingWindow",
            f"{window}.leads": json.dumps(list(reads.leads)),
            f"{window}.sampling_rate": f"{reads.sampling_rate!r}",
            f"{window}.seconds": f"{reads.samples / reads.sampling_rate:.17g}",
        }
    return [*given, *(word for name, value in settings.items() for word in (f"--{name}", value))]
