"""Reports: reading run directories, summary tables, figures, HTML and Markdown."""

from typing import TYPE_CHECKING

from cl_strategies._lazy import lazy_exports

if TYPE_CHECKING:
    from cl_strategies.reports.collection import Collection as Collection
    from cl_strategies.reports.collection import collect as collect
    from cl_strategies.reports.schema import RunRecord as RunRecord
    from cl_strategies.reports.schema import load_result as load_result
    from cl_strategies.reports.schema import write_result as write_result
    from cl_strategies.reports.tables import SummaryRow as SummaryRow
    from cl_strategies.reports.tables import aggregate as aggregate
    from cl_strategies.reports.terminal import render_terminal_table as render_terminal_table
    from cl_strategies.reports.write import ReportPaths as ReportPaths
    from cl_strategies.reports.write import write_report as write_report

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Collection": "cl_strategies.reports.collection",
        "ReportPaths": "cl_strategies.reports.write",
        "RunRecord": "cl_strategies.reports.schema",
        "SummaryRow": "cl_strategies.reports.tables",
        "aggregate": "cl_strategies.reports.tables",
        "collect": "cl_strategies.reports.collection",
        "load_result": "cl_strategies.reports.schema",
        "render_terminal_table": "cl_strategies.reports.terminal",
        "write_report": "cl_strategies.reports.write",
        "write_result": "cl_strategies.reports.schema",
    },
)
