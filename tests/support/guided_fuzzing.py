"""Fuzzes one parser with libFuzzer, led by what code each input reaches: a program of its own.

``python tests/support/guided_fuzzing.py PARSER [-max_total_time=SECONDS] [CORPUS...]``; further
arguments are libFuzzer's. Ends with 0 if nothing but the parser's own errors came out of it, and
no input took longer than `SLOW_SECONDS`. `tests/property/test_guided_fuzzing.py` runs each for a
moment, and says how to run each for minutes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

MOST_BYTES = 65_536
SLOW_SECONDS = 10
MOST_MEGABYTES = 1_500

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(include=["agentprov"]):
    from support.hostile_parsers import PARSERS, run


def main() -> None:
    """Run the named parser; never returns."""
    name, *options = sys.argv[1:]
    sample = PARSERS[name].sample

    def once(data: bytes) -> None:
        run(name, data)

    with tempfile.TemporaryDirectory(prefix="agentprov-fuzz-") as place:
        (Path(place) / "good").write_bytes(sample)
        limits = [f"-max_len={MOST_BYTES}", f"-timeout={SLOW_SECONDS}"]
        limits += [f"-rss_limit_mb={MOST_MEGABYTES}", "-artifact_prefix=" + place + "/"]
        atheris.Setup([sys.argv[0], *limits, *options, place], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
