"""Convert numpydoc docstrings for mkdocstrings."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|attr|mod|data|exc):`(~?)([\w.]+)`")
_CHOICES = re.compile(r"(?m)^( *\w+ : )\{(.*?)\}")
_SEVERAL = re.compile(r"(?m)^( *)(\w+(?:, \w+)+)\n((?:\1 +.*\n?)+)")


class Roles(griffe.Extension):
    """Converts Sphinx roles to links, and lists of choices and parameters to another form.

    A role such as ``:class:`Mix``` becomes a link if the site documents the object, and code
    otherwise. Choices in braces and parameters with a common description are rewritten, because
    mkdocstrings would take the first choice as the default and give all parameters one type.
    """

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Convert the docstring of an object."""
        if obj.docstring is None:
            return

        def linked(match: re.Match[str]) -> str:
            short, name = match[1], match[2]
            shown = name.rpartition(".")[2] if short else name
            try:
                target = obj.resolve(name)
            except griffe.GriffeError:
                target = name
            return f'<autoref optional identifier="{target}"><code>{shown}</code></autoref>'

        def apart(match: re.Match[str]) -> str:
            indent, names, description = match.groups()
            end = "" if description.endswith("\n") else "\n"
            return "".join(f"{indent}{name}\n{description}{end}" for name in names.split(", "))

        def choices(match: re.Match[str]) -> str:
            return match[1] + match[2].replace(", ", " or ")

        text = _ROLE.sub(linked, obj.docstring.value)
        obj.docstring.value = _SEVERAL.sub(apart, _CHOICES.sub(choices, text))
