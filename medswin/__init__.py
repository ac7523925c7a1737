"""medswin: 3D medical image segmentation with Swin transformers and an honest verdict on every scan.

``import medswin`` is cheap on purpose: it loads neither torch nor MONAI. Import the room you need, for example
``from medswin.inference import Predictor`` or ``from medswin.networks import SwinUNETR``. It also switches off the
telemetry of the libraries below, see `medswin.quiet`.
"""

from medswin import quiet

__version__ = "0.1.0"

quiet.silence()
