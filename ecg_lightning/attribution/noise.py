"""Input noise of the smoothing methods, drawn on the CPU before any chunk is cut."""

from torch import Tensor

from ecg_lightning.attribution.seeding import RandomKey


def noise_like(ecg: Tensor, n_samples: int, share: float, key: RandomKey) -> Tensor:
    """White noise for copies of one ECG.

    Args:
        ecg: (1, lead, sample) mV.
        n_samples: Number of copies.
        share: Standard deviation as a share of the ECG's range over all its leads and samples.
        key: Of this ECG and method; the draws are its ``noise``.

    Returns:
        (n_samples, lead, sample) mV, on the ECG's device and in its precision.
    """
    sigma = share * (ecg.amax() - ecg.amin())
    return key.for_purpose("noise").normal(n_samples, *ecg.shape[1:]).to(ecg) * sigma
