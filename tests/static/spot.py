"""Runs pgspot over every statement that the project has, one by one, with the search_path that it runs with.

One by one, because pgspot ends at the first body that its parser can't read, and calls that clean. A body that can't be read is checked
as a statement alone, and is read by plpgsql_check in the suite `hostile`.
"""

import contextlib
import io
import pathlib
import re
import sys
from argparse import Namespace

from pglast.parser import ParseError, split
from pgspot.state import Counter, State
from pgspot.visitors import visit_sql

ROOT = pathlib.Path(__file__).resolve().parents[2]
PINNED = "set local search_path = pg_catalog, pg_temp"
USED = set()


def exceptions():
    """The lines that are pgspot's: (what, says, line)."""
    lines = (ROOT / "tests/static/exceptions").read_text(encoding="utf8").splitlines()
    for line in lines:
        if line.startswith("pgspot |"):
            _, what, says, _ = (part.strip() for part in line.split(" | ", 3))
            yield re.compile(what), re.compile(says), line


EXCEPTIONS = list(exceptions())


def complaints(statements, plpgsql):
    """What pgspot says about statements that run one after the other in one session."""
    arguments = Namespace(
        plpgsql=plpgsql, summary_only=False, ignore=[], ignore_lang=[], proc_without_search_path=[], sql_fn=[], append=False
    )
    state = State(Counter(arguments))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for statement in statements:
            visit_sql(state, statement, toplevel=True)
    return [line for line in said.getvalue().splitlines() if re.match(r"PS\d+", line)]


def is_excepted(what, complaint):
    for where, says, line in EXCEPTIONS:
        if where.search(what) and says.search(complaint):
            USED.add(line)
            return True
    return False


def installed():
    """The script as it is installed: the files that `sql/contents` names, in its order."""
    for name in (ROOT / "sql/contents").read_text(encoding="utf8").splitlines():
        if name and not name.startswith("#"):
            text = (ROOT / "sql" / name).read_text(encoding="utf8").replace("@extschema@", "public")
            yield f"sql/{name}", text, [PINNED]


def applied():
    """What a DBA runs with psql, without psql's own commands."""
    for file in sorted([*ROOT.glob("sql/migrations/*.sql"), *ROOT.glob("sql/recipes/*.sql")]):
        text = file.read_text(encoding="utf8")
        text = re.sub(r"^[ \t]*\\.*$|\\gset.*$|\\watch.*$", ";", text, flags=re.M)
        text = re.sub(r":'(\w+)'", r"'\1'", text)
        text = re.sub(r':"(\w+)"', r'"\1"', text)
        text = re.sub(r"(?<=[\s,(]):(?=[a-z_])", "", text)
        yield str(file.relative_to(ROOT)), text, []


def of_rust():
    """SQL in the Rust code: texts that begin like a statement."""
    begins = r"(?:select|insert|update|delete|with|call|do|set|notify|listen|begin|truncate|lock)\b"
    text = re.compile(rf'r(#*)"\s*({begins}[^"]*(?:"(?!\1)[^"]*)*?)"\1|"\s*({begins}(?:[^"\\]|\\.)*)"', re.I | re.S)
    for folder in ("extension", "sidecar"):
        for file in sorted((ROOT / folder).rglob("src/**/*.rs")):
            for found in text.finditer(file.read_text(encoding="utf8")):
                sql = found.group(2) or re.sub(r"\\\n\s*", "", found.group(3)).replace('\\"', '"').replace("\\n", " ")
                yield str(file.relative_to(ROOT)), sql, []


def checked(what, text, before):
    """Complaints about one file, each with where it is."""
    try:
        parts = split(text, with_parser=True)
    except ParseError:
        # Rust's texts are sometimes a part of a statement, or no SQL at all.
        return [] if what.endswith(".rs") else [f"{what}: it can't be read as SQL"]
    wrong, unread, session = [], 0, list(before)
    for part in parts:
        name = " ".join(part.split())[:90]
        try:
            known = len(complaints(session, True))
            found = complaints([*session, part], True)[known:]
        except Exception:  # noqa: BLE001 - the parser's own word for a body that it can't read
            unread += 1
            try:
                found = complaints([*session, part], False)
            except Exception as error:  # noqa: BLE001
                found = [f"PS000: it can't be read at all: {error}"]
        if re.match(r"(?:\s|--[^\n]*\n)*set\b", part, re.I):
            session.append(part)
        wrong += [f"{what}: {name}: {one}" for one in found if not is_excepted(f"{what}: {name}", one)]
    return wrong, unread, len(parts)


def main():
    wrong, unread, count = [], 0, 0
    for what, text, before in [*installed(), *applied(), *of_rust()]:
        result = checked(what, text, before)
        if isinstance(result, list):
            wrong += result
            continue
        wrong, unread, count = wrong + result[0], unread + result[1], count + result[2]
    stale = [line for _, _, line in EXCEPTIONS if line not in USED]
    for line in [*wrong, *(f"an exception that excepts nothing: {line}" for line in stale)]:
        print(line)
    print(f"pgspot: {count} statements, {unread} with a body that plpgsql_check reads in its place, {len(wrong)} complaints")
    if count < 300:
        print("pgspot: so few statements can't be all of them")
    sys.exit(bool(wrong or stale or count < 300))


main()
