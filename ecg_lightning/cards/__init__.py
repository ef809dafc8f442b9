"""Networks that were trained elsewhere: a card in YAML says how one is built, what it reads, and what comes out."""

from ecg_lightning.cards.card import CardError, NetworkCard, load_card
from ecg_lightning.cards.carded_network import CardedNetwork

__all__ = ["CardError", "CardedNetwork", "NetworkCard", "load_card"]
