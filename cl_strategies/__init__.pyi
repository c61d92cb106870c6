from .errors import UserError as UserError
from .strategies import (
    ALASSO as ALASSO,
)
from .strategies import (
    CIM as CIM,
)
from .strategies import (
    HALRP as HALRP,
)
from .strategies import (
    L2 as L2,
)
from .strategies import (
    SI as SI,
)
from .strategies import (
    AlignQ as AlignQ,
)
from .strategies import (
    LifeQuant as LifeQuant,
)

__version__: str
