"""This module holds facts of the published study (Arends et al., Signal or noise?) and how it is read here."""

from typing import Final

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

CASCADE_NETWORK: Final = ("atrial_fibrillation", 0)
"""Target and training repetition, from 0, of the one network that the paper randomised."""

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
