from .alignq import AlignQScheme as AlignQScheme
from .apot import APoT as APoT
from .dorefa import DoReFa as DoReFa
from .llsq import LLSQ as LLSQ
from .lsq import LSQ as LSQ
from .pact import PACT as PACT
from .proxq import ProxQ as ProxQ
from .uniform import Uniform as Uniform
