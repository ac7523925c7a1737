"""Whether a foreign state dict fits a network of ours, tensor by tensor; nothing is changed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from medswin.errors import WeightsError
from medswin.networks.contract import Triple
from medswin.networks.partition import relative_index
from medswin.networks.segmenter import Segmenter
from medswin.networks.weights import names
from medswin.networks.weights.channels import CHOICES, adapt_channels
from medswin.networks.weights.prefixes import check_prefixes
from medswin.networks.weights.settings import differences, encoder_settings
from medswin.networks.weights.windows import is_of, own_windows, window_of

INPUTS = ("encoder.patch.weight", "decoder.skips.0.conv1.weight", "decoder.skips.0.skip.0.weight")
"""Our tensors whose second axis is the image's channels."""
STRUCTURE = ("depths", "qkv_bias", "patch_norm", "stage_conv")
"""Settings that decide which tensors a network has."""
_DECODER = (
    "build the network with the in_channels, norm_name and finest_width of the weights, or take the encoder alone: "
    'decoder="fresh"'
)
_IMAGE_SKIP = ("encoder1.layer.conv3.", "encoder1.layer.norm3.")


@dataclass(frozen=True)
class Gate:
    """Our names and tensors against the file's, by canonical names; it only looks, and changes nothing.

    Attributes:
        names: our tensor names -> MONAI's.
        own: our tensors.
        windows: MONAI's name of each block's index buffer -> our block's window.
        state: the file's tensors by canonical names.
        where: the file, for messages.
    """

    names: dict[str, str]
    own: dict[str, Tensor]
    windows: dict[str, Triple]
    state: dict[str, Tensor]
    where: object

    @classmethod
    def between(cls, segmenter: Segmenter, state: Mapping[str, Tensor], where: object) -> Gate:
        """The gate between a network of ours and a state dict under its own names."""
        theirs = names.monai_names(segmenter)
        return cls(theirs, segmenter.state_dict(), own_windows(segmenter, theirs), names.canonical(state, where), where)

    def fill(self, channels: str | None, head: str | None, decoder: str | None, floor: float) -> dict[str, Tensor]:
        """Our names -> what they are to be filled with, after every check; see `load_monai_swin_unetr`."""
        self.check_prefixes(head=head, decoder=decoder)
        wanted = self.wanted(head=head, decoder=decoder)
        self.check_encoder(floor)
        self.check_decoder(wanted)
        filled = {ours: self.fitted(ours, channels) for ours in wanted if self.names[ours] in self.state}
        self.check_windows()
        self.check_surplus(wanted)
        return {ours: tensor for ours, tensor in filled.items() if tensor is not None}

    def check_prefixes(self, *, head: str | None, decoder: str | None) -> None:
        """Raise WeightsError if a tensor that is to be filled is in the file under an unknown prefix alone."""
        rooms = {"encoder"} | ({"decoder"} if decoder is None else set())
        rooms |= {"head"} if head is None and decoder is None else set()
        places = {theirs for ours, theirs in self.names.items() if ours.split(".")[0] in rooms}
        check_prefixes(self.state, self.where, places, ', or leave decoder and head as they are: decoder="fresh"')

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
            raise self._decoder_error(f"{len(missing)} decoder tensors are not in it, for example", missing)

    def check_windows(self) -> None:
        """Raise WeightsError where a block's index buffer is of another window than ours: tables may be as long."""
        for name, window in self.windows.items():
            index = self.state.get(name)
            if index is not None and not is_of(index, window):
                told = window_of(index)
                raise self._error(f"{name!r} is of {f'a window of {told}' if told else 'no window'}, ours of {window}")

    def check_surplus(self, wanted: Iterable[str]) -> None:
        """Raise WeightsError where the file has weights that ours has no place for: it is of another network."""
        places = set(self.names.values())
        surplus = sorted(name for name in self.state if name not in places)
        encoder = [name for name in surplus if names.is_encoder(name)]
        if encoder:
            raise self._error(f"{len(encoder)} of its encoder tensors have no place, for example {encoder[0]!r}")
        decoder = [name for name in surplus if names.is_decoder(name)]
        if decoder and any(ours.startswith("decoder.") for ours in wanted):
            raise self._decoder_error(f"{len(decoder)} of its decoder tensors have no place, such as", decoder)

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
        own |= {name: relative_index(window, window) for name, window in self.windows.items()}
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

    def _decoder_error(self, what: str, places: Sequence[str]) -> WeightsError:
        """``what`` of the decoder's tensors, the first of which is shown, with the reason if that is the channels."""
        shown = f"{what} {places[0]!r}"
        if not all(place.startswith(_IMAGE_SKIP) for place in places):
            return self._error(shown, _DECODER)
        return self._error(
            f"{shown}: the image's skip has a convolution only where the image has not as many channels as the decoder",
            'build the network with the in_channels of the weights, or take the encoder alone: decoder="fresh"',
        )

    def _error(self, what: str, repair: str = "") -> WeightsError:
        other = ", ".join(f"{name}={value!r}" for name, value in self._other_settings().items())
        default = "build the network with the settings of the weights"
        return WeightsError(what, where=self.where, repair=repair or (f"{default}: {other}" if other else default))


def _but_channels(shape: Sequence[int]) -> tuple[int, ...]:
    return (shape[0], *shape[2:])
