from .record import RunRecord as RunRecord
from .record import load_result as load_result
from .record import write_result as write_result
