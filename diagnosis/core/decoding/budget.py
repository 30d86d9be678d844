"""What decoding one picture may cost."""

from dataclasses import dataclass

BASE_CPU_S = 1.0
CPU_S_PER_MEGAPIXEL = 0.25
BASE_MEMORY = 256 * 2**20
MEMORY_PER_PIXEL = 24  # bytes
WALL_S = 120.0  # a machine that gives no processor for so long has no use for the answer


@dataclass(frozen=True)
class Budget:
    """The bounds of one job.

    Attributes:
        cpu_s: seconds of processor time, not of the clock: on a busy machine nothing is refused
            that a quiet one would take.
        memory: bytes of address space beyond what the process has before it begins.
        wall_s: seconds until nobody waits any longer.
    """

    cpu_s: float
    memory: int
    wall_s: float


def budget(pixels: int) -> Budget:
    """The bounds for a picture that declares so many pixels."""
    cpu_s = BASE_CPU_S + CPU_S_PER_MEGAPIXEL * pixels / 1e6
    return Budget(cpu_s, BASE_MEMORY + MEMORY_PER_PIXEL * pixels, WALL_S)
