from .downsample import Downsample as Downsample
from .quantized import Quantized as Quantized
from .two_resolution import TwoResolution as TwoResolution
from .whole_image import JPEG as JPEG
from .whole_image import PNG as PNG
from .whole_image import Raw as Raw
from .whole_image import WebP as WebP
