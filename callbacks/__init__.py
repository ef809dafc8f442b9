"""Lightning callbacks: a hook decides, a method or a functional does."""

import warnings
from typing import TYPE_CHECKING, Final

from callbacks.attribution_maps import AttributionMaps
from callbacks.audit_summary import AuditSummary
from callbacks.background_dependence import BackgroundDependence
from callbacks.beat_pictures import BeatPictures
from callbacks.completeness import Completeness
from callbacks.drawn_figures import Figures
from callbacks.evidence_localization import EvidenceLocalization
from callbacks.faithfulness_scores import FaithfulnessScores
from callbacks.logits_and_metrics import LogitsAndMetrics
from callbacks.map_pictures import MapPictures
from callbacks.method_similarity import MethodSimilarity
from callbacks.network_gate import NetworkGate
from callbacks.perturbation_curves import PerturbationCurves
from callbacks.prediction_table import PredictionTable
from callbacks.randomization_cascade import RandomizationCascade
from callbacks.result_summary import ResultSummary
from callbacks.splits_and_fit_seal import SplitsAndFitSeal
from callbacks.stage_config import StageConfig

__all__ = [
    "AttributionMaps",
    "AuditSummary",
    "BackgroundDependence",
    "BeatPictures",
    "Completeness",
    "EvidenceLocalization",
    "FaithfulnessScores",
    "Figures",
    "LogitsAndMetrics",
    "MapPictures",
    "MethodSimilarity",
    "NetworkGate",
    "PerturbationCurves",
    "PredictionTable",
    "RandomizationCascade",
    "ResultSummary",
    "SplitsAndFitSeal",
    "StageConfig",
]

_EARLIER_NAMES: Final = {"FitRecord": SplitsAndFitSeal, "TestRecord": LogitsAndMetrics}


if not TYPE_CHECKING:  # else mypy would believe every name

    def __getattr__(name: str) -> type:
        if name not in _EARLIER_NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        kind = globals()[name] = _EARLIER_NAMES[name]  # told once, and then found by who looks without asking
        warnings.warn(f"callbacks.{name} is now called {kind.__name__}", DeprecationWarning, stacklevel=2)
        return kind
