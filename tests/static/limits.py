"""Finds what is too long to be read at once: functions of more than 70 lines, files of more than 300, in Rust and in SQL.

What is excepted stands in `longer`, one a line: the file, the function (or - for the file itself), and why. A line that excepts
nothing any more is itself wrong, so that none outlives its reason.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONGEST_FUNCTION = 70
LONGEST_FILE = 300

# rustfmt and the house's SQL put the end of a function where its beginning is indented.
RUST = re.compile(r'^( *)(?:pub(?:\([a-z: ]+\))? )?(?:default |const |async |unsafe |extern "[^"]*" )*fn (\w+)')
SQL = re.compile(r"^()create (?:or replace )?(?:function|procedure) ([\w.]+)", re.IGNORECASE)
DOLLAR = re.compile(r"\$\w*\$")


def rust_functions(lines):
    """Each function's name and length."""
    for number, line in enumerate(lines):
        begin = RUST.match(line)
        if not begin or line.rstrip().endswith("}"):
            continue
        for end, later in enumerate(lines[number:], number):
            if later == f"{begin[1]}}}":
                yield begin[2], end - number + 1
                break
            # Only declared, as in a trait.
            if later.endswith(";") and len(later) - len(later.lstrip()) == len(begin[1]):
                break


def sql_functions(lines):
    """Each function's name and length: up to the end of its body, or of the statement that has none in dollars."""
    for number, line in enumerate(lines):
        begin = SQL.match(line)
        if not begin:
            continue
        tag = None
        for end, later in enumerate(lines[number:], number):
            found = DOLLAR.findall(later)
            if tag is None and found:
                tag = found.pop(0)
            if tag in found or (tag is None and later.endswith(";")):
                yield begin[2], end - number + 1
                break


def too_long():
    """What is: file, function or -, lines."""
    for folder in ("extension", "sidecar", "sql", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            functions = {".rs": rust_functions, ".sql": sql_functions}.get(path.suffix)
            if not functions or "target" in path.relative_to(ROOT).parts:
                continue
            name = str(path.relative_to(ROOT))
            lines = path.read_text(encoding="utf8").splitlines()
            if len(lines) > LONGEST_FILE:
                yield name, "-", len(lines)
            for function, length in functions(lines):
                if length > LONGEST_FUNCTION:
                    yield name, function, length


def excepted():
    """What is excepted: file and function or -."""
    for line in (ROOT / "tests/static/longer").read_text(encoding="utf8").splitlines():
        if line and not line.startswith("#"):
            name, function, _why = (part.strip() for part in line.split(" | ", 2))
            yield name, function


def main():
    found = {(name, function): length for name, function, length in too_long()}
    allowed = set(excepted())
    for name, function in sorted(found.keys() - allowed):
        what, longest = ("", LONGEST_FILE) if function == "-" else (f" {function}", LONGEST_FUNCTION)
        print(f"{name}:{what} has {found[name, function]} lines, more than {longest}: split it, or say why not in tests/static/longer")
    for name, function in sorted(allowed - found.keys()):
        print(f"tests/static/longer excepts {name} | {function}, which is no longer too long")
    return 1 if found.keys() ^ allowed else 0


if __name__ == "__main__":
    sys.exit(main())
