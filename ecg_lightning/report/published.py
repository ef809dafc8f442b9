"""Numbers of the published study (``paper``: Arends et al., Signal or noise?), to stand beside one's own."""

from typing import Final, NamedTuple


class Published(NamedTuple):
    """One number or claim of the paper.

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

TABLE_1: Final[dict[str, tuple[str, str, str]]] = {
    "ECGs, n": ("871,273", "1,086", "1,351"),
    "Patients, n": ("191,757", "250", "250"),
    "ECGs per patient, mean (SD)": ("4.5 (8.6)", "4.3 (6.7)", "5.4 (11.4)"),
    "Female patients, n (%)": ("86,537 (45.1)", "101 (40.4)", "119 (47.6)"),
    "Age in years, mean (SD)": ("60.9 (15.4)", "61.0 (15.4)", "64.3 (13.7)"),
    "Sinus rhythm, n (%)": ("547,877 (62.9)", "740 (68.1)", "804 (59.5)"),
    "Atrial fibrillation, n (%)": ("53,872 (6.2)", "48 (4.4)", "88 (6.5)"),
    "Sinus bradycardia, n (%)": ("93,710 (10.8)", "101 (9.3)", "143 (10.6)"),
    "Sinus tachycardia, n (%)": ("62,338 (7.2)", "73 (6.7)", "112 (8.3)"),
    "First-degree AV block, n (%)": ("53,320 (6.1)", "69 (6.4)", "86 (6.4)"),
    "Right bundle branch block, n (%)": ("72,057 (8.3)", "94 (8.7)", "239 (17.7)"),
    "Left bundle branch block, n (%)": ("36,950 (4.2)", "53 (4.9)", "115 (8.5)"),
    "Low QRS voltage, n (%)": ("31,056 (3.6)", "41 (3.8)", "37 (2.7)"),
    "Left ventricular hypertrophy, n (%)": ("61,548 (7.1)", "103 (9.5)", "104 (7.7)"),
}
"""The paper's Table 1 in the rows of ``population_table``: train, validation, test."""

_POPULATION: Final = (
    Published("total:ecgs", "ECGs in total", "873,710", "Results"),
    Published("total:patients", "patients in total", "192,257", "Results"),
    Published("total:female", "female patients", "45.1 %", "Results"),
    Published("total:age", "mean age", "60.9 years", "Results"),
    Published("prevalence:max", "most prevalent diagnosis", "62.9 % (sinus rhythm)", "Results"),
    Published("prevalence:min", "least prevalent diagnosis", "3.6 % (low QRS voltage)", "Results"),
    Published("networks", "networks (classes x seeds)", "90 (9 x 10)", "Methods"),
    Published("auroc:min", "lowest class mean of AUROC", "above 0.95", "Results"),
    Published(
        "auprc:min", "lowest class mean of AUPRC", "0.64 (sinus bradycardia); above 0.85 for the others", "Results"
    ),
)

_SIMILARITY: Final = (
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
    Published(
        "families", "similarity within and across families", "partial clustering; uniformly low across", "Results"
    ),
    Published(
        "similarity:sensitivity:max",
        "most alike among the sensitivity-based methods",
        "Saliency and SmoothGrad",
        "Results",
    ),
    Published(
        "gradient_x_input",
        "gradient x input with Saliency and SmoothGrad; with the baseline-dependent methods",
        "not correlated; moderate",
        "Results",
    ),
    Published("spearman", "similarities by Spearman's correlation", "similar results", "Figure S2"),
)

_CONSISTENCY: Final = (
    Published("consistency:all", "self-consistency over all methods and classes", "0.52 ± 0.14", "Discussion"),
    Published(
        "consistency:most",
        "self-consistency of the methods other than guided Grad-CAM and SmoothGrad",
        "0.41 to 0.65",
        "Results",
    ),
    Published("consistency:guided_gradcam", "self-consistency of guided Grad-CAM", "0.29 ± 0.28 (lowest)", "Results"),
    Published("consistency:smoothgrad", "self-consistency of SmoothGrad", "0.82 ± 0.12 (highest)", "Results"),
    Published("consistency:sd", "greatest standard deviation of a method's self-consistency", "0.39 (Grad-CAM)",
              "Results"),
    Published(
        "consistency:sinus_rhythm", "self-consistency over all methods, sinus rhythm", "0.57 ± 0.13", "Discussion"
    ),
    Published(
        "consistency:class:min", "lowest class mean of self-consistency", "0.54 (low QRS voltage, LVH)", "Results"
    ),
    Published(
        "consistency:class:max", "highest class mean of self-consistency", "0.62 (first-degree AV block)", "Results"
    ),
)  # fmt: skip

_CASCADE: Final = (
    Published(
        "cascade:first",
        "similarity and AUROC after the first three randomised layers",
        "similarity of every method declines within them, at the same rate as AUROC",
        "Results",
    ),
    Published(
        "cascade:kept",
        "methods that keep similarity when every layer is random",
        "Saliency, SmoothGrad, guided backprop",
        "Figure 4A",
    ),
)

_PERTURBATION: Final = (
    Published("noise", "noise on replaced points", "Gaussian, sigma 0.25, multiplied", "Methods, Figure 4"),
    Published("perturbation:smoothgrad", "AUROC after 30 % of the points, SmoothGrad", "about 0.50", "Figure 4B"),
    Published("perturbation:deeplift_shap", "AUROC after 30 % of the points, DeepLIFT-SHAP", "about 0.65", "Figure 4B"),
    Published(
        "perturbation:gradient_x_input", "AUROC after 30 % of the points, gradient x input", "about 0.65", "Figure 4B"
    ),
    Published("perturbation:saliency", "AUROC after 30 % of the points, saliency", "about 0.65", "Figure 4B"),
    Published("perturbation:others", "AUROC after 30 % of the points, most other methods", "about 0.75", "Figure 4B"),
    Published("perturbation:gradcam", "AUROC after 30 % of the points, Grad-CAM", "0.92", "Figure 4B"),
    Published(
        "perturbation:steepest",
        "the four methods with the steepest fall",
        "SmoothGrad, DeepLIFT-SHAP, gradient x input, Saliency",
        "Results",
    ),
    Published("perturbation:flattest", "the method with the flattest fall", "Grad-CAM", "Results"),
    Published("maps", "attribution maps", "more than 1.5 million", "Discussion"),
)

NUMBERS: Final = (*_POPULATION, *_SIMILARITY, *_CONSISTENCY, *_CASCADE, *_PERTURBATION)
"""In the order of the paper; its Table 1 by split stands in ``TABLE_1``."""

INCONSISTENCIES: Final = (
    "The overall mean of 0.52 lies below the range of the class means, 0.54 to 0.62, although both are means of the "
    "same correlations over classes.",
    "Four experiments are shown in Figures 1 and 2, of which the Methods text counts the last three as first to third; "
    "this report numbers them as the figures do.",
)

READINGS: Final = (
    "Self-consistency of 0.41 to 0.65 is read as the range of most methods: guided Grad-CAM (0.29) and SmoothGrad "
    "(0.82) are named beside it as the lowest and the highest.",
    "More than 1.5 million maps: 90 networks x 1,351 test ECGs x 12 methods are 1,459,080, and the maps of randomised "
    "networks come on top.",
    "0.52 ± 0.14 and 0.57 ± 0.13 are read as the spread of the methods' means: single methods have standard deviations "
    "over ECGs and pairs of up to 0.39, which a spread of 0.14 over everything could not hold.",
    "The noise's sigma of 0.25 is read as a factor 1 + 0.25 e with e from a standard normal distribution: Figure 4 "
    "says that the replacements are multiplied with the noise, and the text gives no unit.",
)
"""What the paper leaves to its reader, and how it is read here."""
