"""A comparison on the nodes of a Ray cluster. Needs Ray: `pip install 'cl-strategies[ray]'`.

On one machine `ray start --head --port 6379`, on the other `ray start --address HOST:6379`; then,
on either, `python ray_nodes.py HOST:6379 /shared/out` with a folder that both see. Without
arguments Ray starts on this machine alone, and ends with the comparison.
"""

import sys
from collections import Counter

from cl_strategies.experiment import compare
from cl_strategies.reports import write_report


def told(config, problem):
    """Say what became of a run as it ends."""
    print(f"{config.slug}: {problem or 'done'}", flush=True)


def main(address=None, out="ray-results"):
    comparison = compare(
        benchmarks=[{"name": "split-digits", "n_experiences": 2, "fraction": 0.3}],
        strategies=["naive", "replay"],
        seeds=[0, 1],
        settings={"train.epochs": 2},
        out=out,
        executor_name="ray",
        executor_options={"address": address},
        progress=told,
    )
    print(Counter(record.status for record in comparison.records))
    print(write_report(out).table)


if __name__ == "__main__":
    main(*sys.argv[1:])
