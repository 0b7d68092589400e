"""Summary figures of openb, from which its stand-in is generated.

The class shares are the published ones (FGD, ATC'23). Node shapes, request shapes, lifetimes, qos and daily rhythm are
our measurements on the node lists and on `openb_pod_list_default.csv`, with CPU rounded to 0.1 core, memory to 1 GiB
and the rarest request shapes left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from clustersim.traces.pod_classes import CPU_ONLY, SHARE, whole_gpus

NODES = 1213
GPUS = 6212
PODS = 8152
DAYS = 34
"""In openb 99 % of the pods arrive within this time."""

NODE_SHAPES = (  # nodes of the shape in openb, GPU model, GPUs, cores, memory GiB
    (3, "P100", 1, 8, 60),
    (2, "P100", 2, 8, 60),
    (107, "P100", 2, 16, 120),
    (22, "P100", 2, 64, 256),
    (387, "T4", 2, 104, 512),
    (17, "T4", 4, 96, 384),
    (19, "V100M16", 1, 8, 32),
    (28, "V100M16", 4, 32, 128),
    (7, "V100M16", 8, 64, 256),
    (1, "V100M16", 8, 82, 336),
    (9, "V100M32", 4, 48, 368),
    (21, "V100M32", 8, 96, 768),
    (2, "A10", 1, 128, 1024),
    (39, "G3", 8, 128, 768),
    (549, "G2", 8, 96, 384),
)

ARRIVALS_BY_HOUR = (63, 56, 44, 53, 52, 38, 36, 41, 29, 18, 27, 25, 19, 18, 17, 33, 37, 52, 68, 58, 43, 53, 52, 66)
"""Per mille of the arrivals in each hour of the trace's day."""

LIFETIME_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class PodClass:
    """One class of pods; the shares of `qos` and the first number of every shape are weights."""

    name: str
    share: float  # of all pods
    num_gpu: int
    lifetime_s: tuple[float, ...]  # at LIFETIME_QUANTILES; in between the logarithm is interpolated
    qos: dict[str, int]
    shapes: tuple[tuple[int, int, float, int], ...]  # weight, GPU milli per device, cores, memory GiB


CLASSES = (
    PodClass(
        CPU_ONLY,
        share=0.1335,
        num_gpu=0,
        lifetime_s=(10, 122, 149, 445, 1_943, 12_849, 28_363, 10_100_000),
        qos={"LS": 586, "BE": 414},
        shapes=(
            (337, 0, 12.5, 56),
            (267, 0, 32.0, 48),
            (171, 0, 8.0, 30),
            (111, 0, 15.4, 50),
            (88, 0, 16.5, 50),
            (13, 0, 16.0, 31),
            (10, 0, 11.4, 56),
            (4, 0, 12.0, 24),
        ),
    ),
    PodClass(
        SHARE,
        share=0.3776,
        num_gpu=1,
        lifetime_s=(1, 46, 107, 357, 1_315, 7_095, 74_631, 12_500_000),
        qos={"LS": 247, "BE": 753},
        shapes=(
            (342, 810, 3.2, 5),
            (127, 470, 11.9, 46),
            (118, 470, 8.0, 30),
            (77, 650, 11.9, 46),
            (76, 320, 4.0, 22),
            (40, 230, 4.0, 30),
            (39, 460, 6.0, 10),
            (25, 590, 3.2, 5),
            (24, 320, 8.0, 30),
            (24, 550, 4.2, 10),
            (18, 160, 4.0, 15),
            (15, 370, 4.2, 10),
            (14, 220, 4.0, 15),
            (10, 810, 4.2, 10),
            (7, 320, 1.0, 2),
            (7, 160, 6.0, 22),
            (6, 220, 8.0, 30),
            (6, 480, 4.0, 22),
            (6, 230, 8.0, 30),
            (6, 110, 4.0, 22),
            (4, 650, 8.0, 30),
            (2, 330, 4.0, 22),
            (2, 460, 12.0, 18),
            (2, 350, 4.0, 22),
            (1, 50, 6.0, 22),
            (1, 270, 4.2, 10),
            (1, 110, 6.0, 22),
            (1, 50, 4.0, 15),
        ),
    ),
    PodClass(
        whole_gpus(1),
        share=0.4798,
        num_gpu=1,
        lifetime_s=(1, 67, 167, 587, 2_159, 5_394, 169_836, 12_500_000),
        qos={"LS": 818, "BE": 161, "Burstable": 19, "Guaranteed": 2},
        shapes=(
            (224, 1000, 11.3, 48),
            (153, 1000, 11.4, 47),
            (120, 1000, 3.2, 5),
            (83, 1000, 12.0, 24),
            (65, 1000, 18.7, 63),
            (53, 1000, 11.9, 46),
            (50, 1000, 9.8, 41),
            (42, 1000, 8.0, 16),
            (41, 1000, 4.0, 24),
            (40, 1000, 15.7, 57),
            (38, 1000, 16.0, 32),
            (24, 1000, 14.2, 57),
            (22, 1000, 24.2, 91),
            (10, 1000, 8.2, 33),
            (9, 1000, 15.2, 79),
            (7, 1000, 16.4, 123),
            (4, 1000, 1.0, 6),
            (3, 1000, 7.0, 29),
            (2, 1000, 15.4, 88),
            (2, 1000, 2.0, 16),
            (2, 1000, 14.9, 72),
            (2, 1000, 6.0, 32),
            (2, 1000, 9.4, 51),
        ),
    ),
    PodClass(
        whole_gpus(2),
        share=0.0020,
        num_gpu=2,
        lifetime_s=(40, 59, 373, 1_987, 6_503, 20_947, 780_000, 913_000),
        qos={"LS": 94, "Burstable": 6},
        shapes=(
            (44, 1000, 16.2, 65),
            (19, 1000, 6.0, 64),
            (19, 1000, 30.2, 157),
            (12, 1000, 17.4, 42),
            (6, 1000, 14.0, 59),
        ),
    ),
    PodClass(
        whole_gpus(4),
        share=0.0018,
        num_gpu=4,
        lifetime_s=(22, 28, 36, 542, 3_015, 17_039, 41_412, 44_300),
        qos={"LS": 93, "Burstable": 7},
        shapes=((60, 1000, 32.2, 129), (20, 1000, 32.0, 128), (20, 1000, 60.2, 313)),
    ),
    PodClass(
        whole_gpus(8),
        share=0.0054,
        num_gpu=8,
        lifetime_s=(58, 137, 246, 539, 11_269, 94_680, 1_180_000, 1_330_000),
        qos={"LS": 52, "Burstable": 48},
        shapes=(
            (41, 1000, 64.2, 257),
            (41, 1000, 88.0, 320),
            (7, 1000, 64.0, 256),
            (7, 1000, 120.0, 720),
            (4, 1000, 120.2, 625),
        ),
    ),
)
