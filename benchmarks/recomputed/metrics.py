"""``metrics.json`` from the logits, by scikit-learn."""

import numpy as np
import pandas as pd
from sklearn import metrics as scores

from recomputed.compare import BOOTSTRAP, Finding, compare
from recomputed.stores import RunFiles


def metrics_finding(run: RunFiles) -> Finding:
    """Every score at the stored threshold, and the counts."""
    logits = run.store("logits")
    known = logits.done & np.isfinite(run.label)
    label, probability = run.label[known].astype(int), 1 / (1 + np.exp(-logits.values[known]))
    positive = (probability >= run.metrics["threshold"]["value"]).astype(int)
    again = {
        "auroc": scores.roc_auc_score(label, probability),
        "auprc": scores.average_precision_score(label, probability),
        "precision": scores.precision_score(label, positive, zero_division=np.nan),
        "recall": scores.recall_score(label, positive, zero_division=np.nan),
        "specificity": scores.recall_score(label, positive, pos_label=0, zero_division=np.nan),
        "accuracy": scores.accuracy_score(label, positive),
        "f1": scores.f1_score(label, positive),
        "f1_micro": scores.f1_score(label, positive, average="micro"),
        "n_ecgs": len(label),
        "n_patients": run.examples["patient_id"][known].nunique(),
        "n_positive": int(label.sum()),
        "n_label_missing": int((logits.done & ~np.isfinite(run.label)).sum()),
        "n_not_tested": int((~logits.done).sum()),
    }
    written = {
        name: entry["value"] if isinstance(entry, dict) else entry
        for name, entry in run.metrics.items()
        if name not in ("interval", "threshold")
    }
    written = {name: np.nan if value is None else value for name, value in written.items()}
    left_out = dict.fromkeys(("interval", "threshold"), "chosen on the validation set, or a setting")
    one = {"of": "test"}
    finding = compare("metrics.json", pd.DataFrame([one | written]), pd.DataFrame([one | again]), ("of",), {})
    finding.left_out |= left_out | {"low, high, undefined": BOOTSTRAP}
    return finding
