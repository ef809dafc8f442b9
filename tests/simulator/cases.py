"""Cases that several tests simulate."""

from ecg_lightning.ecg import Target
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.diagnoses import Diagnoses, draw_diagnoses
from ecg_lightning.simulator.streams import Streams


def drawn_cases(n: int, seed: int = 7) -> list[Case]:
    """One ECG of each of ``n`` patients."""
    return [
        Case(
            seed,
            patient,
            0,
            draw_diagnoses(Streams(f"{seed}/{patient}")("diagnoses"), Streams(f"{seed}/{patient}/0")("diagnoses")),
        )
        for patient in range(n)
    ]


PLAIN: dict[Target, Diagnoses] = {
    "sinus_rhythm": Diagnoses(),
    "atrial_fibrillation": Diagnoses(rhythm="atrial_fibrillation", rate_of="atrial_fibrillation"),
    "sinus_bradycardia": Diagnoses(rhythm="sinus_bradycardia", rate_of="sinus_bradycardia"),
    "sinus_tachycardia": Diagnoses(rhythm="sinus_tachycardia", rate_of="sinus_tachycardia"),
    "first_degree_av_block": Diagnoses(av_block=True),
    "right_bundle_branch_block": Diagnoses(conduction="right_bundle_branch_block"),
    "left_bundle_branch_block": Diagnoses(conduction="left_bundle_branch_block"),
    "low_qrs_voltage": Diagnoses(voltage="low"),
    "left_ventricular_hypertrophy": Diagnoses(voltage="left_ventricular_hypertrophy"),
}
"""Each diagnosis alone."""
