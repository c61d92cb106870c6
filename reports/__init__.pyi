from .analysis.tables import SummaryRow as SummaryRow
from .analysis.tables import aggregate as aggregate
from .reading.collection import Collection as Collection
from .reading.collection import collect as collect
from .render.terminal import render_terminal_table as render_terminal_table
from .write import ReportPaths as ReportPaths
from .write import write_report as write_report
