"""The page of commands and options, from the program itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields
from pathlib import PurePath
from typing import Any, Literal, get_args, get_origin

import typer.main

from songsplit.cli import app
from songsplit.cli.options import Options

_HEAD = """\
# Commands and options

All that `songsplit` takes, written by the program about itself (`python docs/gen/pages.py`). What
it means, with examples: [the command line](../command-line.md).

`songsplit SONG...` is short for [`songsplit split SONG...`](#songsplit-split). Every command also
takes `--help` (`-h`).
"""
_GROUPS_HEAD = """\
## Options of all commands that separate

`split`, `karaoke`, `acapella`, `remix` and `practice` take these beside their own.
"""
_MORE = """\
And the [options of all commands that separate](#options-of-all-commands-that-separate).
"""


def page() -> str:
    """Return the page."""
    group: Any = typer.main.get_command(app)
    shared = {field.name for field in fields(Options)}
    parts = [_HEAD, "## songsplit\n", _text(group.help), _options(group.params)]
    separating = []
    for name, command in _commands(group, "songsplit"):
        own = [p for p in command.params if p.name not in shared]
        takes_shared = shared <= {p.name for p in command.params}
        parts += [f"## {name}\n", f"```text\n{' '.join([name, *_usage(command)])}\n```\n"]
        parts += [_text(command.help), _options(own if takes_shared else command.params)]
        if takes_shared:
            separating.append(command)
            parts.append(_MORE)
    parts.append(_GROUPS_HEAD)
    common = [p for p in separating[0].params if p.name in shared]
    for panel in dict.fromkeys(p.rich_help_panel for p in common):
        parts += [f"### {panel}\n", _options([p for p in common if p.rich_help_panel == panel])]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _commands(group: Any, above: str) -> Iterator[tuple[str, Any]]:
    """Go through all commands, with those of groups by their full names."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{above} {name}")
        else:
            yield f"{above} {name}", command


def _usage(command: Any) -> list[str]:
    arguments = [_value(p) for p in command.params if _is_argument(p)]
    return ["[OPTIONS]"] * (len(arguments) < len(command.params)) + arguments


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _text(text: str | None) -> str:
    return inspect.cleandoc(text or "") + "\n"


def _options(parameters: list[Any]) -> str:
    """Return a table of arguments and options."""
    rows = [
        f"| {_name(p)} | {_cell(p.help)} | {_default(p)} |"
        for p in parameters
        if not p.hidden and p.name != "help"
    ]
    return "\n".join(["| | | default |", "|---|---|---|", *rows, ""]) if rows else ""


def _name(parameter: Any) -> str:
    if _is_argument(parameter):
        return f"`{_value(parameter)}`"
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {_cell(_value(parameter))}"


def _value(parameter: Any) -> str:
    """Return what stands for the value of a parameter."""
    if parameter.metavar:
        return str(parameter.metavar)
    if _is_argument(parameter):
        return str(parameter.name).upper()
    kind = parameter.type_descriptor.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    return {"str": "TEXT", "int": "NUMBER", "float": "NUMBER"}.get(kind.__name__, "PATH")


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return _cell(parameter.show_default)
    if parameter.required:
        return "required"
    if not parameter.show_default or parameter.default is None or parameter.default is False:
        # Of two names for yes and no, the second is the default.
        return f"`{parameter.secondary_opts[0]}`" if parameter.secondary_opts else ""
    if isinstance(parameter.default, PurePath):
        return "the current folder" if str(parameter.default) == "." else str(parameter.default)
    return f"`{parameter.default}`"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")
