"""The registry of attribution methods: names and classes, without what computes them."""

from typing import TYPE_CHECKING, Final, Literal

METHOD_CLASSES: Final[dict[str, str]] = {
    "saliency": "ecg_lightning.attribution.sensitivity.Saliency",
    "smoothgrad": "ecg_lightning.attribution.sensitivity.SmoothGrad",
    "gradient_x_input": "ecg_lightning.attribution.sensitivity.GradientXInput",
    "guided_backprop": "ecg_lightning.attribution.activation.GuidedBackprop",
    "gradcam": "ecg_lightning.attribution.activation.GradCam",
    "guided_gradcam": "ecg_lightning.attribution.activation.GuidedGradCam",
    "shapley_sampling": "ecg_lightning.attribution.shapley.ShapleySampling",
    "deeplift": "ecg_lightning.attribution.contribution.DeepLift",
    "integrated_gradients": "ecg_lightning.attribution.contribution.IntegratedGradients",
    "ig_smoothgrad": "ecg_lightning.attribution.contribution.IgSmoothGrad",
    "gradient_shap": "ecg_lightning.attribution.background.GradientShap",
    "deeplift_shap": "ecg_lightning.attribution.background.DeepLiftShap",
}
"""The methods of the paper ("Attribution methods"), in its order. A further method is one file and one line here."""

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHOD_CLASSES)]  # what a command line accepts as a name

METHOD_NAMES: Final[tuple[MethodName, ...]] = tuple(METHOD_CLASSES)
