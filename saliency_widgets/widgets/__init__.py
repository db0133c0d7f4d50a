"""What is shown: stage, heat layers, legend, readout, film strip and panels. Knows maps, never the model."""

from ..colormaps import COLORMAPS
from .film import Film
from .layers import HeatLayer
from .legend import Legend
from .readout import Readout
from .stage import PictureCanvas, Stage, Tools

__all__ = ["COLORMAPS", "Film", "HeatLayer", "Legend", "PictureCanvas", "Readout", "Stage", "Tools"]
