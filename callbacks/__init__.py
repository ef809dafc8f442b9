"""Lightning callbacks: a hook decides, a method or a functional does."""

from callbacks.attribution_maps import AttributionMaps
from callbacks.audit_summary import AuditSummary
from callbacks.background_dependence import BackgroundDependence
from callbacks.beat_pictures import BeatPictures
from callbacks.completeness import Completeness
from callbacks.evidence_localization import EvidenceLocalization
from callbacks.faithfulness_scores import FaithfulnessScores
from callbacks.fit_record import FitRecord
from callbacks.map_pictures import MapPictures
from callbacks.method_similarity import MethodSimilarity
from callbacks.perturbation_curves import PerturbationCurves
from callbacks.prediction_table import PredictionTable
from callbacks.randomization_cascade import RandomizationCascade
from callbacks.result_summary import ResultSummary
from callbacks.stage_config import StageConfig
from callbacks.test_record import TestRecord

__all__ = [
    "AttributionMaps",
    "AuditSummary",
    "BackgroundDependence",
    "BeatPictures",
    "Completeness",
    "EvidenceLocalization",
    "FaithfulnessScores",
    "FitRecord",
    "MapPictures",
    "MethodSimilarity",
    "PerturbationCurves",
    "PredictionTable",
    "RandomizationCascade",
    "ResultSummary",
    "StageConfig",
    "TestRecord",
]
