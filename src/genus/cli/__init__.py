"""The command line: the same verbs and the same fields as in Python."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `genus`; failures genus knows become one sentence and an exit code (2 usage, 3 data), never a traceback."""
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    from genus.cli.app import app
    from genus.errors import GenusError

    try:
        app()
    except GenusError as error:
        if debug:
            raise
        _say(str(error))
        sys.exit(error.code)
    except KeyboardInterrupt:
        _say("Interrupted.")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        text = " ".join(str(error).split())[:300]
        _say(f"Unexpected {type(error).__name__}: {text} This is a fault of genus: run again with --debug and report it.")
        sys.exit(1)


def _say(text: str) -> None:
    print(f"genus: {text}", file=sys.stderr)
