"""Networks and the Lightning module that trains them."""

from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.resnet1d import ResNet1d

__all__ = ["EcgClassifier", "ResNet1d"]
