"""Decoders, by name. A new one is one file and one line here."""

from medswin.networks.contract import Decoder
from medswin.networks.decoders.unetr import UNETRDecoder
from medswin.registry import Registry

DECODERS: Registry[Decoder] = Registry("decoder", {"unetr": UNETRDecoder})
