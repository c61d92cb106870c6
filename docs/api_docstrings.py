"""What the API reference makes of signatures and docstrings: what ``Annotated`` says of an argument
becomes a line on it, and roles of Sphinx become code.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|data|meth|attr|mod|exc|py:\w+):`~?([^`]+)`")


def meaning(annotation: griffe.ExprSubscript) -> str:
    """The text of ``Doc`` in an annotation, or nothing."""
    tree = ast.parse(str(annotation), mode="eval")
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Doc" and call.args:
            try:
                return " ".join(str(ast.literal_eval(call.args[0])).split())
            except ValueError:
                return ""
    return ""


class Docstrings(griffe.Extension):
    """Rewrites every function and docstring once, when it has been read."""

    def on_function(self, *, func: griffe.Function, **others: Any) -> None:
        lines = []
        for parameter in func.parameters:
            annotation = parameter.annotation
            if isinstance(annotation, griffe.ExprSubscript) and (
                str(annotation.left).rpartition(".")[2] == "Annotated"
            ):
                inside = annotation.slice
                parts = inside.elements if isinstance(inside, griffe.ExprTuple) else [inside]
                parameter.annotation = parts[0]
                if text := meaning(annotation):
                    lines.append(f":param {parameter.name}: {text}")
        if lines and func.docstring is None:
            func.docstring = griffe.Docstring("", parent=func, parser="sphinx")
        if lines and func.docstring is not None:
            func.docstring.value = "\n".join([func.docstring.value, "", *lines]).strip()

    def on_object(self, *, obj: griffe.Object, **others: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(r"`\1`", obj.docstring.value).replace("``", "`")
