"""What a run of mutmut in the working directory found, compared with the survivors that are explained.

Called by scripts/mutate with the mutmut program and the list of survivors. Exits with 1 where a mutant
survived that is not on the list, or where the run did not come to its end.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

KILLED = {1, 3}
TIMED_OUT = {24, -24, 36, 152, 255, -9}
"""Exit codes as mutmut 3 stores them; every other one means that no test noticed."""


class Change(NamedTuple):
    """A mutant by what it changes: its number moves with every edit of its function."""

    function: str
    lines: tuple[str, ...]
    """Lines taken away, with a minus, and put in their place, with a plus."""

    def __str__(self) -> str:
        return "\n".join([f"## {self.function}", "", *(f"    {line}" for line in self.lines)])


def exit_codes() -> dict[str, int]:
    """Exit code of the tests by mutant, of all mutants that this run looked at."""
    codes: dict[str, int] = {}
    for path in sorted(Path("mutants/bot").rglob("*.meta")):
        document = json.loads(path.read_text(encoding="utf-8"))
        codes |= {name: code for name, code in document["exit_code_by_key"].items() if code is not None}
    return codes


def module_of(mutant: str) -> str:
    """Dotted name of the module."""
    return mutant.rpartition(".")[0]


def function_of(mutant: str) -> str:
    """Dotted name: bot.m.x_f__mutmut_1 is a mutant of bot.m.f, bot.m.xǁCǁf__mutmut_1 one of bot.m.C.f."""
    module, _, name = mutant.rpartition(".")
    name = re.sub(r"__mutmut_\d+$", "", name)
    return f"{module}.{name.removeprefix('x_').removeprefix('xǁ').replace('ǁ', '.')}"


def changed_lines(lines: list[str]) -> tuple[str, ...]:
    """Lines of a diff that are taken away or put there, without their indentation."""
    return tuple(f"{line[0]} {line[1:].strip()}" for line in lines if re.match(r"[-+](?![-+]{2} )", line))


def change_of(mutant: str, mutmut: str) -> Change:
    """Ask the mutmut program what a mutant changes."""
    shown = subprocess.run([mutmut, "show", mutant], check=True, capture_output=True, text=True).stdout  # noqa: S603 - no shell
    return Change(function_of(mutant), changed_lines(shown.splitlines()))


def explained_changes(text: str) -> Counter[Change]:
    """Blocks of indented lines that begin with a minus or plus, each under the heading of its function."""
    changes: Counter[Change] = Counter()
    function = ""
    for block in re.split(r"\n\s*\n", text):
        if block.startswith("## "):
            function = block.strip().removeprefix("## ")
        elif block.startswith(("    -", "    +")):
            changes[Change(function, changed_lines([line[4:] for line in block.splitlines()]))] += 1
    return changes


def print_table(codes: dict[str, int]) -> None:
    """One line per module and one for all."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, code in codes.items():
        kind = "killed" if code in KILLED else "timed out" if code in TIMED_OUT else "survived"
        counts[module_of(mutant)][kind] += 1
    counts["all"] = sum(counts.values(), Counter())
    print(f"{'module':32}{'mutants':>9}{'killed':>9}{'timed out':>11}{'survived':>10}{'noticed':>9}")
    for module, count in counts.items():
        share = 100.0 * (1.0 - count["survived"] / count.total())
        figures = f"{count.total():9}{count['killed']:9}{count['timed out']:11}{count['survived']:10}{share:8.1f}%"
        print(f"{module:32}{figures}")


def main(mutmut: str, explained_path: str) -> int:
    """Print the report; the exit code says whether every survivor is explained."""
    codes = exit_codes()
    print_table(codes)
    modules = {module_of(mutant) for mutant in codes}
    listed = explained_changes(Path(explained_path).read_text(encoding="utf-8"))
    survived: Counter[Change] = Counter()
    slow: Counter[Change] = Counter()
    for mutant, code in codes.items():
        if code not in KILLED:
            (slow if code in TIMED_OUT else survived)[change_of(mutant, mutmut)] += 1
    explained, unexplained = survived & listed, survived - listed
    in_run = Counter({c: n for c, n in listed.items() if any(c.function.startswith(f"{m}.") for m in modules)})
    noticed = in_run - survived - slow
    for title, changes in [
        (f"Survived and explained in {explained_path}", explained),
        ("Timed out, which counts as noticed", slow),
        ("Explained there but noticed now: the entry can go", noticed),
        ("SURVIVED AND NOT EXPLAINED: write a test, or explain it there", unexplained),
    ]:
        print(f"\n{title}: {changes.total()}")
        for change in changes.elements():
            print(f"\n{change}")
    if not codes:
        print("\nThe run looked at no mutant.")
    return 1 if unexplained or not codes else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
