"""Plain: docstrings as Markdown for the reference page; underlined headings become bold, doctests become code."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Plain(griffe.Extension):
    """Rewrites every docstring once it is loaded."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring:
            text = re.sub(r"^ *(\w+)\n *-{3,}\n", r"**\1**\n\n", obj.docstring.value, flags=re.M)
            obj.docstring.value = re.sub(r"((?:^ *>>> .*\n?)(?:^(?! *$).*\n?)*)", r"```python\n\1\n```\n", text, flags=re.M)
