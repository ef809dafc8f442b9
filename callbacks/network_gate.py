"""Before any map of a network with a card: does it see what it was trained on?"""

from pathlib import Path
from typing import get_args

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.audit_results import AuditResults
from callbacks.current_run import classifier_of, datamodule_of, on_rank_zero
from ecg_lightning.cards import CardedNetwork
from ecg_lightning.cards.gate.finding import GateMode, as_frame
from ecg_lightning.cards.gate.gatekeeping import gate_findings, tell
from ecg_lightning.plotting.gate_picture import GATE_CAPTION, gate_figure


class NetworkGate(Callback):
    """Compares the setting of a network's card with others, and stops a test where another one is clearly better.

    Stands before ``AttributionMaps``. Rank zero looks, and all ranks stop. What was measured is kept in
    ``tables/gate.parquet`` and ``figures/gate.png``, also where the test stops. Networks without a card pass.

    Args:
        mode: ``error``; ``warn``: go on after a warning; ``off``: don't look.

    Raises:
        ValueError: Another mode.
    """

    def __init__(self, mode: GateMode = "error") -> None:
        super().__init__()
        if mode not in get_args(GateMode):
            raise ValueError(f"gate: expected one of {', '.join(get_args(GateMode))}, got {mode!r}")
        self.mode: GateMode = mode

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at test ECGs."""
        network = classifier_of(pl_module, "NetworkGate").network
        if self.mode != "off" and isinstance(network, CardedNetwork):
            on_rank_zero(trainer, lambda: self._look(trainer, network))

    def _look(self, trainer: Trainer, network: CardedNetwork) -> None:
        findings = gate_findings(network, datamodule_of(trainer, "NetworkGate"), "test")
        table, results = as_frame(findings), AuditResults(trainer)
        results.table("gate", table)
        title = f"What {Path(str(network.config['card'])).name} says, among other settings"
        results.figure("gate", lambda: gate_figure(table, title), GATE_CAPTION, summary=True)
        tell(findings, self.mode)
