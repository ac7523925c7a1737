"""Whether a foreign state dict fits a network of ours, tensor by tensor; nothing is changed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from medswin.errors import WeightsError
from medswin.networks.weights import names
from medswin.networks.weights.channels import CHOICES, adapt_channels
from medswin.networks.weights.settings import differences, encoder_settings

INPUTS = ("encoder.patch.weight", "decoder.skips.0.conv1.weight", "decoder.skips.0.skip.0.weight")
"""Our tensors whose second axis is the image's channels."""
STRUCTURE = ("depths", "qkv_bias", "patch_norm", "stage_conv")
"""Settings that decide which tensors a network has."""
_DECODER = (
    "build the network with the in_channels, norm_name and finest_width of the weights, or take the encoder alone: "
    'decoder="fresh"'
)


@dataclass(frozen=True)
class Gate:
    """Our names and tensors against the file's, by canonical names; it only looks, and changes nothing."""

    names: dict[str, str]
    own: dict[str, Tensor]
    state: dict[str, Tensor]
    where: object

    def wanted(self, *, head: str | None, decoder: str | None) -> list[str]:
        """Our tensors that the file is to fill."""
        rooms = {"encoder"}
        if decoder is None and any(names.is_decoder(name) for name in self.state):
            rooms |= {"decoder"} if head else {"decoder", "head"}
        return [ours for ours in self.names if ours.split(".")[0] in rooms]

    def covered(self, filled: Iterable[str]) -> float:
        """Share of the encoder's parameters that are among ``filled``."""
        sizes = {ours: tensor.numel() for ours, tensor in self.own.items() if ours.startswith("encoder.")}
        return sum(sizes.get(ours, 0) for ours in filled) / max(1, sum(sizes.values()))

    def check_encoder(self, floor: float) -> None:
        """Raise WeightsError unless enough of the encoder is in the file."""
        own = [ours for ours in self.names if ours.startswith("encoder.")]
        missing = [ours for ours in own if self.names[ours] not in self.state]
        share = self.covered(set(own) - set(missing))
        if share < floor or (missing and self._other_structure()):
            raise self._error(
                f"{len(missing)} of {len(own)} encoder tensors are not in it, for example "
                f"{self.names[missing[0]]!r}: it covers {100 * share:.1f} % of the encoder's parameters"
            )

    def check_decoder(self, wanted: Iterable[str]) -> None:
        """Raise WeightsError unless the whole decoder is in the file, where it is wanted."""
        missing = [
            self.names[ours] for ours in wanted if ours.startswith("decoder.") and self.names[ours] not in self.state
        ]
        if missing:
            raise self._error(f"{len(missing)} decoder tensors are not in it, for example {missing[0]!r}", _DECODER)

    def check_surplus(self, wanted: Iterable[str]) -> None:
        """Raise WeightsError where the file has weights that ours has no place for: it is of another network."""
        places = set(self.names.values())
        surplus = sorted(name for name in self.state if name not in places)
        encoder = [name for name in surplus if names.is_encoder(name)]
        if encoder:
            raise self._error(f"{len(encoder)} of its encoder tensors have no place, for example {encoder[0]!r}")
        decoder = [name for name in surplus if names.is_decoder(name)]
        if decoder and any(ours.startswith("decoder.") for ours in wanted):
            raise self._error(f"{len(decoder)} of its decoder tensors have no place, such as {decoder[0]!r}", _DECODER)

    def fitted(self, ours: str, channels: str | None) -> Tensor | None:
        """The file's tensor for one of ours, in its shape; None where it is to stay fresh."""
        theirs, needed = self.state[self.names[ours]], self.own[ours].shape
        if theirs.shape == needed:
            return theirs
        channels_only = ours in INPUTS and theirs.ndim == 5 and _but_channels(theirs.shape) == _but_channels(needed)
        if channels_only and channels is not None:
            return None if channels == "fresh" else adapt_channels(theirs, needed[1], channels)
        raise self._error(
            f"{self.names[ours]!r} has shape {tuple(theirs.shape)}, the network needs {tuple(needed)}",
            repair=self._repair(ours, theirs, channels_only=channels_only),
        )

    def _other_settings(self) -> dict[str, Any]:
        """The file's settings that are not the network's."""
        own = {theirs: self.own[ours] for ours, theirs in self.names.items()}
        return differences(encoder_settings(self.state), encoder_settings(own))

    def _other_structure(self) -> bool:
        return any(name in STRUCTURE for name in self._other_settings())

    def _repair(self, ours: str, theirs: Tensor, *, channels_only: bool) -> str:
        """How to make a shape fit."""
        if channels_only:
            choices = ", ".join(f"channels={choice!r}" for choice in CHOICES)
            return f"build the network with in_channels={theirs.shape[1]}, or adapt its input: {choices}"
        if ours.startswith("head."):
            return f'build the network with out_channels={theirs.shape[0]}, or say head="fresh" for other structures'
        return ""

    def _error(self, what: str, repair: str = "") -> WeightsError:
        other = ", ".join(f"{name}={value!r}" for name, value in self._other_settings().items())
        default = "build the network with the settings of the weights"
        return WeightsError(what, where=self.where, repair=repair or (f"{default}: {other}" if other else default))


def _but_channels(shape: Sequence[int]) -> tuple[int, ...]:
    return (shape[0], *shape[2:])
