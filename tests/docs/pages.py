"""The pages of the documentation as tests.

    pages.py run [--needs NAME] [--update] [PAGE.md...]   runs the console blocks and compares their output
    pages.py links                                        checks that relative links and their anchors resolve

A page is run in a scratch folder of its own that holds copies of examples/ and data/. In it
    <!-- file: NAME -->    before a fenced block writes that block to the file NAME,
    <!-- needs: NAME -->   before a fenced block leaves it to `--needs NAME` (a program that not every machine has),
and of a block ```console every line `$ COMMAND` is given to bash; the lines up to the next one are its output. A line `...` in
there stands for any lines. A command has to end with status 0. What differs between runs and machines (times, devices,
sizes of memory, versions) is compared in a normal form; --update replaces the output of the commands that differ."""
import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
DOCS = os.path.join(ROOT, "docs")
MARK = re.compile(r"<!-- (file|needs): (\S+) -->$")

# What is not the same everywhere, and what it is compared as.
VARIABLE = [
    (re.compile(r"cpu \([^)]*\)"), "cpu (...)"),
    (re.compile(r"\bin [0-9.e+-]+ s\b"), "in T s"),
    (re.compile(r'"(seconds|started|finished|host|version|commit|build)": ("[^"]*"|[0-9.e+-]+)'), r'"\1": ...'),
    (re.compile(r"^[0-9.e+-]+ s$"), "T s"),
    (re.compile(r"\b[0-9.]+ ([KMG]i)?B\b"), "SIZE"),
    (re.compile(r"\b[0-9.]+e-(0[7-9]|[1-9][0-9])\b"), "TINY"),
    # gradcheck: the processor time of a gradient, before what is stated
    (re.compile(r"^((?:ste|gs|gr|score|fd|exact) .*\s)[0-9.e+-]+(  \D*(?:PASS|FAIL).*)$"), r"\1T\2"),
]
PROGRESS = re.compile(r"^step [0-9]+/[0-9]+  ")  # comes every few seconds


def normal(lines):
    out = []
    for line in lines:
        if PROGRESS.match(line):
            continue
        for pattern, form in VARIABLE:
            line = pattern.sub(form, line)
        out.append(" ".join(line.split()))
    while out and not out[-1]:
        out.pop()
    return out


def same(expected, found):
    """Are the lines equal? '...' among the expected ones stands for any number of lines."""
    if "..." not in expected:
        return expected == found
    at = expected.index("...")
    if expected[:at] != found[:at]:
        return False
    rest = expected[at + 1:]
    return any(same(rest, found[i:]) for i in range(at, len(found) + 1))


class Block:
    def __init__(self, language, first, marks):
        self.language, self.first, self.marks = language, first, marks
        self.lines = []


def blocks(lines):
    """The fenced blocks of a page: language, number of the first line within, marks before it, lines."""
    found, marks, block = [], {}, None
    for number, line in enumerate(lines):
        text = line.rstrip("\n")
        if block is not None:
            if text == "```":
                found.append(block)
                block = None
            else:
                block.lines.append(text)
        elif text.startswith("```"):
            block, marks = Block(text[3:], number + 1, marks), {}
        elif MARK.match(text):
            kind, name = MARK.match(text).groups()
            marks[kind] = name
        elif text:
            marks = {}
    if block is not None:
        raise SystemExit(f"line {block.first}: the block has no end")
    return found


def commands(block):
    """(command, its line in the block, expected lines) of a console block."""
    found = []
    for number, line in enumerate(block.lines):
        if line.startswith("$ "):
            found.append([line[2:], number, []])
        elif not found:
            raise SystemExit(f"line {block.first + number + 1}: output before the first command")
        elif found[-1][0].endswith("\\") and not found[-1][2]:
            found[-1][0] += "\n" + line
        else:
            found[-1][2].append(line)
    return found


def tool_folder(folder):
    """A folder with a `latgrad` that runs the tool under test, on the CPU."""
    path = os.path.join(folder, "latgrad")
    with open(path, "w") as f:
        f.write('#!/bin/sh\ncase ${1-} in\nfit | simulate | grad | gradcheck) exec "$LATGRAD" "$@" --device cpu ;;\n'
                '*) exec "$LATGRAD" "$@" ;;\nesac\n')
    os.chmod(path, 0o755)


def run_page(path, needs, update, tools):
    with open(path) as f:
        lines = f.readlines()
    page, failures, count, changes = os.path.relpath(path, ROOT), 0, 0, []
    todo = [b for b in blocks(lines) if b.marks.get("needs") in (None, needs)]
    environment = dict(os.environ, PATH=tools + os.pathsep + os.environ["PATH"], LC_ALL="C", COLUMNS="120", NO_COLOR="1",
                       PYTHONDONTWRITEBYTECODE="1")
    with tempfile.TemporaryDirectory(prefix="latgrad-docs-") as scratch:
        for name in ("examples", "data"):
            shutil.copytree(os.path.join(ROOT, name), os.path.join(scratch, name))
        for block in todo:
            if "file" in block.marks:
                with open(os.path.join(scratch, block.marks["file"]), "w") as f:
                    f.write("\n".join(block.lines) + "\n")
            if block.language != "console":
                continue
            for command, offset, expected in commands(block):
                count += 1
                try:
                    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=scratch, env=environment, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=240, text=True)
                except subprocess.TimeoutExpired:
                    print(f"FAIL {page}:{block.first + offset + 1}: no end after 240 s: {command}")
                    failures += 1
                    continue
                found = ran.stdout.rstrip("\n").split("\n") if ran.stdout.rstrip("\n") else []
                if ran.returncode:
                    print(f"FAIL {page}:{block.first + offset + 1}: status {ran.returncode}: {command}\n{ran.stdout}")
                    failures += 1
                elif not same(normal(expected), normal(found)):
                    first = block.first + offset + 1 + command.count("\n")
                    if update:
                        changes.append((first, first + len(expected), found))
                        continue
                    print(f"FAIL {page}:{block.first + offset + 1}: {command}")
                    print("\n".join(difflib.unified_diff(normal(expected), normal(found), "page", "found", lineterm="")))
                    failures += 1
    for first, end, found in reversed(changes):
        lines[first:end] = [line.rstrip() + "\n" for line in found]
    if changes:
        with open(path, "w") as f:
            f.writelines(lines)
        print(f"{page}: {len(changes)} outputs replaced")
    return count, failures


def run(arguments):
    tool = os.environ.get("LATGRAD")
    if not tool:
        raise SystemExit("set LATGRAD to the path of the tool")
    os.environ["LATGRAD"] = os.path.realpath(tool)
    pages = arguments.pages
    if not pages:
        pages = [os.path.join(DOCS, name) for name in sorted(os.listdir(DOCS)) if name.endswith(".md")]
    if arguments.needs and not arguments.pages:  # the pages that have such a block
        pages = [p for p in pages if f"<!-- needs: {arguments.needs} -->" in open(p).read()]
    count = failures = 0
    with tempfile.TemporaryDirectory(prefix="latgrad-tool-") as tools:
        tool_folder(tools)
        for page in pages:
            c, f = run_page(page, arguments.needs, arguments.update, tools)
            count, failures = count + c, failures + f
    print(f"{count} commands on {len(pages)} pages, {failures} failed")
    return 1 if failures or not count else 0


def anchors(path):
    """The anchors of a page's headings, as mkdocs and the forges make them."""
    with open(path) as f:
        text = re.sub(r"^```.*?^```$", "", f.read(), flags=re.M | re.S)
    found = set()
    for heading in re.findall(r"^#+ (.*)$", text, flags=re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        found.add(re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()))
    return found


def links(_):
    pages = [os.path.join(ROOT, name) for name in os.listdir(ROOT) if name.endswith(".md")]
    for folder, _, names in os.walk(DOCS):
        pages += [os.path.join(folder, name) for name in names if name.endswith(".md")]
    count = failures = 0
    for page in sorted(pages):
        with open(page) as f:
            text = re.sub(r"^```.*?^```$", "", f.read(), flags=re.M | re.S)
        text = re.sub(r"`[^`\n]*`", "", text)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            count += 1
            name, _, anchor = target.partition("#")
            where = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
            if not os.path.exists(where):
                reason = "no such file"
            elif anchor and where.endswith(".md") and anchor not in anchors(where):
                reason = "no such heading"
            else:
                continue
            print(f"FAIL {os.path.relpath(page, ROOT)}: link to {target}: {reason}")
            failures += 1
    print(f"{count} links on {len(pages)} pages, {failures} failed")
    return 1 if failures or not count else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "links"])
    parser.add_argument("pages", nargs="*")
    parser.add_argument("--needs")
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_intermixed_args()
    return {"run": run, "links": links}[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
