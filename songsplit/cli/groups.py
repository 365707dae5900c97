"""Groups of commands one of which is the default."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from typing import Any, ClassVar

from typer.core import TyperGroup

from songsplit.cli.display import telling_errors

_OWN_OPTIONS = ("--help", "-h", "--version", "--install-completion", "--show-completion")
_LIKE_A_COMMAND = re.compile(r"[A-Za-z][A-Za-z-]{0,19}")


class DefaultCommandGroup(TyperGroup):
    """Passes arguments that do not begin with a command to a default command."""

    default: ClassVar = "split"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default command."""
        if args and args[0] not in {*self.commands, *_OWN_OPTIONS}:
            is_word = _LIKE_A_COMMAND.fullmatch(args[0]) and not os.path.lexists(args[0])
            if is_word and not ctx.resilient_parsing:  # completion must not fail
                close = get_close_matches(args[0].lower(), self.commands, 1, 0.7)
                advice = f"did you mean {close[0]}?" if close else "songsplit --help lists commands"
                ctx.fail(f"{args[0]!r} is neither a command nor a file; {advice}")
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command and print its errors."""
        with telling_errors():
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write help of the commands, and of the options of the default one."""
        # Commands first, then the options of the default command, which most users need.
        self.format_commands(ctx, formatter)
        shown = [*self.commands[self.default].params, *self.get_params(ctx)]
        records = [record for p in shown if (record := p.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(records)
