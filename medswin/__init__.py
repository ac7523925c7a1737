"""medswin: 3D medical image segmentation with Swin transformers and an honest verdict on every scan.

``import medswin`` is cheap on purpose: it loads neither torch nor MONAI. Import the room you need, for example
``from medswin.inference import Predictor`` or ``from medswin.networks import SwinUNETR``.
"""

__version__ = "0.1.0"
