# SPDX-License-Identifier: GPL-2.0-only
"""Code in README.md and Documentation/*.rst, as its readers type it.

extract.py FOLDER: write each block of C to FOLDER/DOCUMENT-N.inc. One that no frame in this
folder includes would be compiled by nobody, so it is an error; and so is C in a literal
block, which isn't looked for.
"""

import glob
import os
import re
import sys
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

# A block of C or shell: fenced in Markdown, indented in reStructuredText.
FENCED = re.compile(r"^```(c|sh)\n(.*?)^```$", re.M | re.S)
INDENTED = re.compile(r"^\.\. code-block:: (c|sh)\n\n((?:(?:[ \t]+.*)?\n)+)", re.M)
# A literal block, and a line that ends a statement of C.
LITERAL = re.compile(r"::\n\n((?:(?:[ \t]+.*)?\n)+)")
STATEMENT = re.compile(r";$", re.M)


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as document:
        return document.read()


def blocks(path, language):
    """The blocks of LANGUAGE, "c" or "sh", in the document at PATH."""
    text = read(path)
    pattern = FENCED if path.endswith(".md") else INDENTED
    return [textwrap.dedent(block).strip("\n") + "\n"
            for found, block in pattern.findall(text) if found == language]


def documents():
    return ["README.md"] + sorted(
        os.path.join("Documentation", name)
        for name in os.listdir(os.path.join(TOP, "Documentation")) if name.endswith(".rst"))


def main():
    folder = sys.argv[1]
    frames = ""
    for path in glob.glob(os.path.join(HERE, "*.c")):
        with open(path, encoding="utf-8") as frame:
            frames += frame.read()
    for document in documents():
        if any(STATEMENT.search(block) for block in LITERAL.findall(read(document))):
            sys.exit(f"{document}: C in a literal block; make it a code-block")
        for number, block in enumerate(blocks(document, "c"), 1):
            stem = os.path.splitext(os.path.basename(document))[0].lower()
            name = f"{stem}-{number}.inc"
            if f'#include "{name}"' not in frames:
                sys.exit(f"{document}: block {number} of C is in no frame of tests/snippets")
            with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                out.write(f'#line 1 "{document}, block {number}"\n' + block)


if __name__ == "__main__":
    main()
