"""A callback whose last work takes an hour in compiled code, as a bootstrap of many patients may."""

import hashlib

from lightning.pytorch import Callback, LightningModule, Trainer


class LongSummary(Callback):
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2_000_000_000)
