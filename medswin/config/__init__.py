"""Configs: YAML to checked settings to a run. The only room that knows pydantic and yaml.

A config names parts by their registered names and gives numbers; nothing in it is imported or evaluated.
"""

from medswin.config.load import load, load_any, load_as
from medswin.config.parts import check
from medswin.config.pretrain import check_pretraining, pretrain
from medswin.config.run import train
from medswin.config.schema import Config, PretrainConfig

__all__ = ["Config", "PretrainConfig", "check", "check_pretraining", "load", "load_any", "load_as", "pretrain", "train"]
