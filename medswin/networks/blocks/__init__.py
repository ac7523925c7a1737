"""Blocks that encoders and decoders are made of."""
