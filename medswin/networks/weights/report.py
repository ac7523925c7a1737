"""What a gate for foreign weights says of its work."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

SHOWN = 3
ORDERS = {
    "merging": "the merging order of MONAI 1.5 and later",
    "monai-legacy": "the merging order of MONAI before 1.5",
    "mergingv2": "the merging order of MONAI's mergingv2",
}


@dataclass(frozen=True)
class LoadReport:
    """What a gate took over.

    Attributes:
        loaded: our names of the tensors that were filled as they are in the file.
        adapted: our names of those that were filled after their input channels had been adapted.
        skipped: names in the file that have no place in our network (index buffers, other heads), or were not wanted.
        missing: our names that stay as they were initialised.
        encoder_coverage: share of the encoder's parameters that were filled, 0 to 1.
        wrapper: the keys that the weights lay under in the file, joined by dots; empty for a bare state dict.
        merging: order in which the network's `PatchMerging` reads its sub-lattices, which no file tells: a name of
            `medswin.networks.blocks.merging.ORDERS`; empty where the network has another merging.
    """

    loaded: tuple[str, ...]
    adapted: tuple[str, ...]
    skipped: tuple[str, ...]
    missing: tuple[str, ...]
    encoder_coverage: float
    wrapper: str = ""
    merging: str = ""

    @property
    def coverage(self) -> float:
        """Share of our tensors that were filled, 0 to 1."""
        filled = len(self.loaded) + len(self.adapted)
        return filled / max(1, filled + len(self.missing))

    def __str__(self) -> str:
        counts = f"{len(self.loaded)} tensors loaded, {len(self.adapted)} adapted, {len(self.skipped)} skipped"
        lines = [
            counts + (f" (found under {self.wrapper})" if self.wrapper else ""),
            f"encoder: {100 * self.encoder_coverage:.1f} % of its parameters",
        ]
        if self.merging:
            lines.append(f"read in {ORDERS[self.merging]}")
        if self.adapted:
            lines.append(f"adapted: {', '.join(self.adapted)}")
        lines.append(f"fresh: {self._fresh()}")
        return "\n".join(lines)

    def _fresh(self) -> str:
        """Rooms of the network with how many of their tensors stay fresh, and the first few of the encoder's names."""
        rooms = Counter(name.split(".")[0] for name in self.missing)
        told = [f"{room} ({count} tensors)" for room, count in rooms.items()]
        named = [name for name in self.missing if name.startswith("encoder.")][:SHOWN]
        return (", ".join(told) or "nothing") + (f", among them {', '.join(named)}" if named else "")
