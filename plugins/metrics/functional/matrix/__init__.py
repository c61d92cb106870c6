"""The metrics of an accuracy matrix.

``A[t, i]`` is the accuracy on test experience ``i`` after training experience ``t`` (both
from 0). ``None`` or NaN means "not measured". Accuracies are fractions or percentages: every
metric here except the relative ones has the unit of its input. ``A`` may be a list of lists, a
numpy array or a torch tensor; with ``T`` rows and more than ``T`` columns (training still
goes on) the columns from ``T`` on belong to experiences not trained yet and do not count.

A metric that needs an entry that was not measured is undefined and returns NaN: a mean over
the part that happens to be there would be a different metric under the same name.
"""
