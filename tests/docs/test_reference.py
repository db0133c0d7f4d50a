"""The API reference builds, shows every public name, leaves none without a docstring, and its links lead somewhere."""
import html
import inspect
import re

import pytest

import saliency_widgets as sw

pytest.importorskip("pdoc", reason='pip install "saliency-widgets[docs]"')

from .__main__ import build  # noqa: E402
from .pages import PACKAGE, PAGES, is_public, own, pages  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    written = build(folder)
    assert {path.name for path in written} >= {"index.html", "search.js"}
    return folder


@pytest.fixture(scope="module")
def text(folder):
    """The HTML of each page by module name."""
    return {name: (folder / f"{name.replace('.', '/')}.html").read_text() for name in PAGES}


def ids(page):
    return set(re.findall(r'\bid="([^"]+)"', page))


def public(cls):
    """What a class of this package, or a base of it, calls public."""
    return {name for base in cls.__mro__ if own(base.__module__) for name in vars(base) if not name.startswith("_")}


def test_every_public_name_is_on_a_page(text):
    first = ids(text[PACKAGE])
    assert {name for name in sw.__all__ if name != "metrics"} <= first
    assert set(sw.metrics.__all__) <= ids(text[f"{PACKAGE}.metrics"])
    assert 'saliency_widgets/metrics.html' in text[PACKAGE]


@pytest.mark.parametrize("cls", [sw.Session, sw.Explorer, sw.Compare, sw.SaliencyMap], ids=lambda cls: cls.__name__)
def test_every_public_method_stands_with_its_class(text, cls):
    wanted = {name for name in public(cls)
              if callable(getattr(cls, name)) or isinstance(inspect.getattr_static(cls, name), property)}
    assert len(wanted) >= 4
    assert {f"{cls.__name__}.{name}" for name in wanted} - ids(text[PACKAGE]) == set()


def test_every_method_stands_there_with_its_parameters(text):
    page = html.unescape(re.sub(r"<[^>]+>", "", text[f"{PACKAGE}.methods"]))
    found = ids(text[f"{PACKAGE}.methods"])
    for name, method in sw.methods().items():
        assert f"method-{name}" in found and method.paper in page and method.title in page
        for parameter in method.parameters:
            assert parameter.name in page and " ".join(parameter.help.split()) in page, f"{name}.{parameter.name}"
            assert repr(parameter.default) in page
        assert inspect.getdoc(method.run), f"{name} says nothing of what it computes"


def test_no_public_docstring_is_missing():
    bare = []
    for name, module in pages().items():
        assert module.docstring, name
        for member in filter(is_public, module.members.values()):
            for doc in (member, *(getattr(member, "own_members", ()))):
                if doc.name != "__init__" and not doc.docstring:
                    bare.append(f"{name}: {doc.qualname}")
    assert bare == []


def test_links_lead_somewhere(folder):
    places = {path: ids(path.read_text()) for path in folder.rglob("*.html")}
    broken = []
    for path, page in ((path, path.read_text()) for path in places):
        for link in re.findall(r'href="([^"]+)"', re.sub(r"(?s)<script.*?</script>", "", page)):
            if link.startswith(("http", "data:")):
                continue
            file, _, anchor = html.unescape(link).partition("#")
            target = (path.parent / file).resolve() if file else path
            if target not in places or anchor and anchor not in places[target]:
                broken.append(f"{path.name}: {link}")
    assert broken == []
