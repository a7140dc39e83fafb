"""The command line: a table of commands whose modules are imported when they are run."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import typer
from typer.core import TyperGroup

from agentprov.cli import exit_codes, output, streams
from agentprov.errors import AgentprovError

# What the disk or its owner refuses is no bug of ours, wherever it is met.
_SURROUNDINGS = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EIO, errno.ENOTDIR),
        *(errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG),
        getattr(errno, "EDQUOT", errno.ENOSPC),
    }
)
# name -> (module, one line of help); hidden commands have no help line.
COMMANDS: dict[str, tuple[str, str | None]] = {
    "demo": ("demo", "Show the whole story in a temporary repository"),
    "init": ("init", "Set up this repository: keys, hooks, notes, policy and trust files"),
    "doctor": ("doctor", "Explain the state of this repository and what to mend"),
    "hooks": ("hooks", "Install, remove or show the git hooks"),
    "trust": ("trust", "Say who may sign what"),
    "keys": ("keys", "Make, choose, list or show signing keys"),
    "plan": ("plan", "Sign, lint, show or list plans"),
    "run": ("run", "Run a coding agent and record it"),
    "approve": ("approve", "Look at a change and sign a decision about it"),
    "log": ("log", "List commits with what is recorded of them"),
    "show": ("show", "Show what is recorded of one commit"),
    "blame": ("blame", "Show who wrote each line of a file: person, agent, model, plan"),
    "trace": ("trace", "Tell the whole story of a line, from plan to approval"),
    "query": ("query", "Find every line, file and commit by model, agent, plan and more"),
    "stats": ("stats", "Count lines by origin, model, agent and session"),
    "transcript": ("transcript", "Show what a session kept of its channels"),
    "verify": ("verify", "Verify commits, ranges or bundles"),
    "gate": ("gate", "Say whether a range may merge: verify, then policy"),
    "serve": ("serve", "Look through many sessions in a browser"),
    "report": ("report", "Write a page that checks the records in it by itself"),
    "checkpoint": ("checkpoint", "Show or check the head of this machine's signing log"),
    "replay": ("replay", "Make a session's statements again from its journal"),
    "sync": ("sync", "Fetch, merge and push the records"),
    "import": ("import_records", "Take over git-ai notes, Agent Trace, transcripts, trailers"),
    "export": ("export_records", "Write verified records as git-ai notes or Agent Trace"),
    "gc": ("collect", "Say what local data nothing needs, and remove it when asked"),
    "mcp": ("mcp", "Serve the record to agents over MCP"),
    "drain": ("drain", None),
    "pre-push": ("pre_push", None),
}
_GARBAGE_THRESHOLD = 20_000


class LazyGroup(TyperGroup):
    """A group that imports a command's module only when that command is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and build one command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = import_module(f"agentprov.cli.{entry[0]}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.hidden = entry[1] is None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list from the table, importing nothing."""
        rows = [(name, text) for name, (_, text) in COMMANDS.items() if text]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


app = typer.Typer(
    cls=LazyGroup,
    name="agentprov",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from agentprov import __version__

        output.line(f"agentprov {__version__}")
        raise typer.Exit


@app.callback(
    epilog="\b\nStart with:\nagentprov demo\nThen, in a repository:\n"
    "agentprov init\nagentprov plan sign PLAN.md\n"
    "agentprov run --plan PLAN.md -- claude\nagentprov verify HEAD"
)
def root(
    directory: Path | None = typer.Option(
        None, "-C", metavar="DIR", help="Run as if started in DIR."
    ),
    _show_version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Provenance for code that agents write: plan, agent, model and bytes, signed."""
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise click.UsageError(f"-C {directory}: {error.strerror}") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the number that docs/spec/exit-codes.md gives."""
    sys.exit(execute(sys.argv[1:] if arguments is None else arguments))


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit status; prints errors, raises nothing."""
    # Loading makes many lasting objects; looking through them again and again costs milliseconds.
    gc.set_threshold(_GARBAGE_THRESHOLD)
    for stream in (sys.stdout, sys.stderr):
        _tolerate_odd_text(stream)
    with streams.watched():
        try:
            return _status(arguments)
        finally:
            _tell_repairs(arguments)


def _status(arguments: Sequence[str]) -> int:
    status = exit_codes.HOLDS
    try:
        result = app(args=list(arguments), prog_name="agentprov", standalone_mode=False)
        if isinstance(result, int):
            status = result
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        # Its message is the whole help, whose line breaks must stay.
        output.help_text(error.format_message())
        return exit_codes.USAGE
    except click.UsageError as error:
        hint = error.ctx.command_path + " --help" if error.ctx else "agentprov --help"
        output.failure(error.format_message(), f"see `{hint}`")
        return exit_codes.USAGE
    except click.ClickException as error:
        output.failure(error.format_message())
        return exit_codes.USER
    except (KeyboardInterrupt, click.Abort):
        output.note("interrupted")
        return exit_codes.INTERRUPTED
    except AgentprovError as error:
        output.failure(error.message, error.hint)
        return exit_codes.exit_code(error)
    except BrokenPipeError:
        return status
    except OSError as error:
        if error.errno not in _SURROUNDINGS or error.filename is None:
            return _bug(error, arguments)
        place = os.fsdecode(error.filename) if not isinstance(error.filename, int) else "a file"
        output.failure(f"{place}: {error.strerror}", "make room or permissions, then try again")
        return exit_codes.USER
    except Exception as error:  # noqa: BLE001  the last line of defence: a bug becomes a report
        return _bug(error, arguments)
    return status


def _tell_repairs(arguments: Sequence[str]) -> None:
    """Say in one line each what was put right after a crash, by whatever command did it."""
    done = sys.modules.get("agentprov.system.repairs")
    if done is not None and "--quiet" not in arguments:
        for what in done.untold():
            output.note(f"put right: {output.safe(what)}")


def _tolerate_odd_text(stream: Any) -> None:
    """Let names that are not UTF-8 be printed with escapes instead of failing."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")


def _bug(error: Exception, arguments: Sequence[str]) -> int:
    from agentprov.cli.bug_report import write_report

    place = write_report(error, arguments)
    output.failure(
        f"unexpected {type(error).__name__}: {error}",
        f"this is a bug of ours; please report it with {place}" if place else None,
    )
    return exit_codes.BUG


if __name__ == "__main__":
    main()
