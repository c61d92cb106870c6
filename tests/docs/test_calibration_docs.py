"""The scripts in the page of calibration run as they stand, one after the other."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"


def test_the_scripts_run():
    names: dict[str, object] = {"__name__": "calibration"}
    for script in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        exec(compile(script, PAGE.name, "exec"), names)
    assert names["plugin"].evaluated_model is not None
