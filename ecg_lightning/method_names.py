"""Names of the paper's attribution methods, without what computes them."""

from typing import Final, Literal, get_args

MethodName = Literal[
    "saliency",
    "smoothgrad",
    "gradient_x_input",
    "guided_backprop",
    "gradcam",
    "guided_gradcam",
    "shapley_sampling",
    "deeplift",
    "integrated_gradients",
    "ig_smoothgrad",
    "gradient_shap",
    "deeplift_shap",
]
"""The twelve methods of the paper ("Attribution methods")."""

METHOD_NAMES: Final[tuple[MethodName, ...]] = get_args(MethodName)
