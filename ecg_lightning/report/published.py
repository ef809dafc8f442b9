"""Numbers of the published study (``paper``: Arends et al., Signal or noise?), to stand beside one's own."""

from typing import Final, NamedTuple


class Published(NamedTuple):
    """One number of the paper.

    Attributes:
        key: What of this study stands beside it; see ``against_paper``.
        what: In words.
        value: As printed.
        where: Section, figure or table.
    """

    key: str
    what: str
    value: str
    where: str


CITATION: Final = (
    "Arends BKO, van Amsterdam WAC, van der Harst P, van Smeden M, van Es R, van de Leur RR. Signal or noise? "
    "Evaluating commonly used attribution methods for explaining deep neural networks in electrocardiogram "
    "classification. European Heart Journal - Digital Health, ztag038."
)

NUMBERS: Final = (
    Published("ecgs:train", "ECGs for training", "871,273", "Table 1"),
    Published("ecgs:validation", "ECGs for validation", "1,086", "Table 1"),
    Published("ecgs:test", "ECGs for testing", "1,351", "Table 1"),
    Published("patients:train", "patients for training", "191,757", "Table 1"),
    Published("patients:test", "patients for testing", "250", "Table 1"),
    Published("networks", "networks (classes x seeds)", "90 (9 x 10)", "Methods"),
    Published("auroc:min", "lowest class mean of AUROC", "above 0.95", "Results"),
    Published(
        "auprc:min", "lowest class mean of AUPRC", "0.64 (sinus bradycardia); above 0.85 for the others", "Results"
    ),
    Published(
        "similarity:ig_smoothgrad:gradient_shap", "similarity of IG + SmoothGrad and GradientSHAP", "0.96", "Figure 3A"
    ),
    Published(
        "similarity:guided_backprop:guided_gradcam",
        "similarity of guided backprop and guided Grad-CAM",
        "0.37",
        "Figure 3A",
    ),
    Published(
        "similarity:contribution:min",
        "lowest similarity among the baseline-dependent methods",
        "0.34 (DeepLIFT-SHAP)",
        "Results",
    ),
    Published(
        "similarity:activation:max",
        "similarity among activation-based methods, guided backprop and guided Grad-CAM apart",
        "below 0.10",
        "Results",
    ),
    Published("consistency:all", "self-consistency over all methods and classes", "0.52 ± 0.14", "Discussion"),
    Published("consistency:guided_gradcam", "self-consistency of guided Grad-CAM", "0.29 ± 0.28 (lowest)", "Results"),
    Published("consistency:smoothgrad", "self-consistency of SmoothGrad", "0.82 ± 0.12 (highest)", "Results"),
    Published(
        "consistency:gradcam:sd", "standard deviation of Grad-CAM's self-consistency", "0.39 (highest)", "Results"
    ),
    Published(
        "consistency:sinus_rhythm", "self-consistency over all methods, sinus rhythm", "0.57 ± 0.13", "Discussion"
    ),
    Published(
        "consistency:class:min", "lowest class mean of self-consistency", "0.54 (low QRS voltage, LVH)", "Results"
    ),
    Published(
        "consistency:class:max", "highest class mean of self-consistency", "0.62 (first-degree AV block)", "Results"
    ),
    Published(
        "cascade:kept",
        "methods that keep similarity when every layer is random",
        "Saliency, SmoothGrad, guided backprop",
        "Figure 4A",
    ),
    Published("perturbation:smoothgrad", "AUROC after 30 % of the points, SmoothGrad", "about 0.50", "Figure 4B"),
    Published("perturbation:deeplift_shap", "AUROC after 30 % of the points, DeepLIFT-SHAP", "about 0.65", "Figure 4B"),
    Published(
        "perturbation:gradient_x_input", "AUROC after 30 % of the points, gradient x input", "about 0.65", "Figure 4B"
    ),
    Published("perturbation:saliency", "AUROC after 30 % of the points, saliency", "about 0.65", "Figure 4B"),
    Published("perturbation:others", "AUROC after 30 % of the points, most other methods", "about 0.75", "Figure 4B"),
    Published("perturbation:gradcam", "AUROC after 30 % of the points, Grad-CAM", "0.92", "Figure 4B"),
    Published("maps", "attribution maps", "more than 1.5 million", "Discussion"),
)

INCONSISTENCIES: Final = (
    "Self-consistency is said to range from 0.41 to 0.65, while single methods reach 0.29 (guided Grad-CAM) and 0.82 "
    "(SmoothGrad): the range is not that of the methods, and the text does not say of what it is.",
    "The overall mean of 0.52 lies below the range of the class means, 0.54 to 0.62, although it is said to be their "
    "average.",
    "More than 1.5 million maps are reported; 90 networks x 1,351 test ECGs x 12 methods are 1,459,080.",
    "Four experiments are shown in Figures 1 and 2, of which the Methods text counts the last three as first to third; "
    "this report numbers them as the figures do.",
)
