"""Pages: links lead somewhere, commands are understood, pictures have a command.

And what code and pages say of a section of docs/model.md is of one that is there.
"""

import importlib
import importlib.util
import pathlib
import re
import shlex

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# What may name a section of docs/model.md.
FOLDERS = ("benchmarks", "configs", "docs", "examples", "infinitygan_jax", "tests")
_NUMBER = r"\d+(?:\.\d+)?"
_SECTIONS = rf"sections? {_NUMBER}(?:(?:,| and|, and| to) {_NUMBER})*"
# As absl and programs without a parser of their own read them.
_OTHER_OPTIONS = ("cli.train", "cli.card", "cli.convert", "cli.export", "benchmarks.")


def _commands(page):
    """Words of the commands that a page shows in indented lines."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    for line in re.findall(r"^    python (.*)$", text, re.MULTILINE):
        words = shlex.split(line, comments=True)
        if words[0] == "-m":
            yield words[1], words[2:]
        elif words[0].startswith("examples/"):
            assert (ROOT / words[0]).is_file(), line
            yield words[0].removesuffix(".py").replace("/", "."), words[1:]
        else:
            assert (ROOT / words[0]).is_file(), line
            entry = (ROOT / words[0]).read_text("utf-8")
            package, name = re.search(r"    from (\S+) import (\w+)\n", entry).groups()
            yield f"{package}.{name}", words[1:]


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?://", target):
            path, _, anchor = target.partition("#")
            there = (page.parent / path) if path else page
            assert there.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.M)
                kept = [re.sub(r"[^\w\- ]", "", each.lower()) for each in headings]
                assert anchor in [each.replace(" ", "-") for each in kept], target


def _on_one_line(path):
    """A file's words, without what begins the lines of comments and lists."""
    return re.sub(r"\s*\n[\s#*>|-]*", " ", path.read_text("utf-8"))


def test_sections_of_the_model_are_there():
    page = ROOT / "docs" / "model.md"
    titles = re.findall(rf"^##+ ({_NUMBER})\. ", page.read_text("utf-8"), re.MULTILINE)
    assert len(set(titles)) == len(titles)
    # Both speak of no other page's sections.
    named = [
        (path, each)
        for path in (page, ROOT / "tests" / "oracle.py")
        for each in re.findall(_SECTIONS, _on_one_line(path), re.IGNORECASE)
    ]
    others = [
        path
        for folder in FOLDERS
        for kind in ("py", "md", "ipynb")
        for path in sorted((ROOT / folder).rglob(f"*.{kind}"))
    ]
    for path in [*sorted(ROOT.glob("*.md")), *others]:
        text = _on_one_line(path)
        # Such as "docs/model.md, section 2", or "[model.md](model.md), section 2".
        found = re.findall(rf"model\.md\)?,? \(?({_SECTIONS})", text)
        named += [(path, each) for each in found]
        # What the page took the place of.
        assert not re.search(r"\bspec(ification)?,? (sections? )?\d", text, re.I), path
    assert len(named) > 70
    for path, sections in named:
        for number in re.findall(_NUMBER, sections):
            assert number in titles, (path.relative_to(ROOT), sections)


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_commands_are_understood(page):
    """Their programs are there, and know the options."""
    for name, words in _commands(page):
        assert importlib.util.find_spec(name), name
        if name.removeprefix("infinitygan_jax.").startswith(_OTHER_OPTIONS):
            continue
        program = importlib.import_module(name)
        program._parser().parse_args(words)


def test_every_picture_of_the_gallery_has_a_command():
    page = ROOT / "docs" / "gallery.md"
    outs = [words[words.index("--out") + 1] for _, words in _commands(page)]
    drawn = ["docs/gallery/map.png"]
    for target in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text("utf-8")):
        name = f"docs/{target}"
        # One of several answers, a frame of a film, or beside an inversion.
        names = [
            name,
            re.sub(r"-\d+(\.\w+)$", r"\1", name),
            f"{name.rpartition('/')[0]}/",
        ]
        names.append(re.sub(r"\.png$", ".npz", name))
        assert set(names) & {*outs, *drawn}, target


def test_the_gallery_is_small():
    """For whoever clones it; inversions are not kept."""
    pictures = [
        path
        for path in (ROOT / "docs" / "gallery").rglob("*")
        if path.suffix in (".jpg", ".png")
    ]
    assert sum(path.stat().st_size for path in pictures) < 5e6


@pytest.mark.slow  # it compiles what each example needs
def test_the_examples_of_python_run(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "python.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    code = "\n".join(blocks)
    few = code.replace("=CONTINUED)", "=dataclasses.replace(CONTINUED, steps=2))")
    assert few != code
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(few, "docs/python.md", "exec"), names)
    for name in ("picture", "panorama", "travelled", "mapped", "edited", "elsewhere"):
        assert names[name].shape == (128, 128, 3), name
        assert names[name].std() > 10  # it shows something
    assert names["around"].shape == (128, 256, 3)
    assert names["passage"].shape == (128, 320, 3)
    assert (tmp_path / "left.npz").is_file()
    assert len(names["strips"]) == 2 and len(names["frames"]) == 4
