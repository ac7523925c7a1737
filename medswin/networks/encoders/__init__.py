"""Encoders, by name. A new one is one file and one line here."""

from medswin.networks.contract import Encoder
from medswin.networks.encoders.cswin import CSwinEncoder
from medswin.networks.encoders.swin import SwinEncoder
from medswin.registry import Registry

ENCODERS: Registry[Encoder] = Registry("encoder", {"swin": SwinEncoder, "cswin": CSwinEncoder})
