"""Which names the reference shows, on which page, and what pdoc cannot know: mixins, traits, and the methods' table."""
from __future__ import annotations

import dataclasses
import importlib
import inspect
import re

import pdoc.doc
import traitlets

from . import tables

PACKAGE = "saliency_widgets"
# Page → the names on it; None is all that the module itself calls public.
PAGES: dict[str, tuple[str, ...] | None] = {
    PACKAGE: None,
    f"{PACKAGE}.metrics": None,
    f"{PACKAGE}.methods": None,
    f"{PACKAGE}.methods.protocol": ("Context", "Round", "Draft"),
    f"{PACKAGE}.cutting": ("LiveRegions",),
    f"{PACKAGE}.widgets.layers": ("HeatLayer",),
    f"{PACKAGE}.trusting": ("Trust",),
    f"{PACKAGE}.what_if": ("WhatIf",),
    f"{PACKAGE}.model.layers": ("Layer",),
    f"{PACKAGE}.engine.stats": ("Stats",),
    f"{PACKAGE}.engine.probe": ("Probe", "Evaluation", "Score", "Unit", "Fill"),
}
START = """

| you want | look at |
| --- | --- |
| the widget | `saliency_widgets.Explorer`, several side by side: `saliency_widgets.Compare` |
| maps without a face | `saliency_widgets.Session`, `saliency_widgets.explain`; what they give: `saliency_widgets.SaliencyMap` |
| every method and its parameters | `saliency_widgets.methods` |
| how far to trust a map | `saliency_widgets.metrics` |
| `ex.regions` | `saliency_widgets.cutting.LiveRegions` |
| `ex.layers` | `saliency_widgets.widgets.layers.HeatLayer` |
| `ex.trust` | `saliency_widgets.trusting.Trust` |
| `session.without(…)` | `saliency_widgets.what_if.WhatIf` |
| `session.layers` | `saliency_widgets.model.layers.Layer` |
| `session.stats` | `saliency_widgets.engine.stats.Stats` |
| to write a method | `saliency_widgets.methods.protocol` |
"""
# Attributes that are made with their object, which have no docstring of their own.
MADE = {
    "Explorer.session": "The `Session` that computes its maps.",
    "Explorer.params": "The parameters by method; each is a trait: `ex.params[\"integrated_gradients\"].alpha = (0.2, 0.8)`.",
    "Explorer.trust": "The `Trust` panel: `ex.trust.show(\"deletion\")`, `ex.trust.results`, `ex.trust.report(path)`.",
    "Explorer.maps": "The newest `SaliencyMap` of each method that was shown for the picture.",
    "Session.score": "What is explained: \"logit\", \"probability\", \"log_probability\", \"margin\", or \"function\".",
    "Session.contrast": "Index of the class to explain against, or None.",
    "Session.truth": "Index of the picture's true class, or None.",
}
WIRING = ("face", "subject", "before", "kernels", "panel")  # what joins the rooms of the package


def own(name: str) -> bool:
    """Whether a module belongs to this package."""
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def is_public(doc: pdoc.doc.Doc) -> bool:
    return not doc.name.startswith("_") and doc.kind != "module"


def listed(text: str) -> str:
    """A docstring with its columns of names and meanings as a Markdown list."""
    lines = [re.sub(r'^("?\w+"?) {2,}(?=\S)', r"- `\1` ", line) for line in text.split("\n")]
    return "\n".join(lines)


def trait(doc: pdoc.doc.Variable, found: traitlets.TraitType) -> None:
    """Give a trait's help its type, default and whether it may be None."""
    kind = type(found).__name__.lower()
    plain = found.default_value in ("", None) or found.default_value is traitlets.Undefined
    default = "" if plain else f", default `{found.default_value!r}`"
    doc.docstring = f"{found.help} (trait: {kind}{default})" if found.help else ""


def shown(doc: pdoc.doc.Class, member: pdoc.doc.Doc) -> bool:
    """Whether a class's member has a place of its own: bare fields stand in the class's signature and its docstring."""
    bare = member.kind == "variable" and not member.docstring and dataclasses.is_dataclass(doc.obj)
    wiring = member.kind == "variable" and member.name in WIRING
    return member.name == "__init__" or is_public(member) and own(member.taken_from[0]) and not bare and not wiring


def spread(doc: pdoc.doc.Class) -> None:
    """Show what a class inherits from this package as its own: its mixins are how it is built, not what it is."""
    for member in doc.members.values():
        found = inspect.getattr_static(doc.obj, member.name, None)
        if isinstance(found, traitlets.TraitType):
            trait(member, found)
        member.docstring = listed(member.docstring)
        if not member.docstring:
            member.docstring = MADE.get(f"{doc.name}.{member.name}", "")
    doc.members = {name: member for name, member in doc.members.items() if shown(doc, member)}  # nothing links to the others
    doc.own_members, doc.inherited_members = list(doc.members.values()), {}


def page(name: str, names: tuple[str, ...] | None) -> pdoc.doc.Module:
    """The documentation of a module, with the names that its page shows."""
    module = importlib.import_module(name)
    for lazy in getattr(module, "__all__", ()):
        getattr(module, lazy)  # what is imported when first used is imported now
    doc = pdoc.doc.Module(module)
    if names is not None:
        doc.members = {member: doc.members[member] for member in names}
    for member in doc.members.values():
        member.docstring = listed(member.docstring)
        if isinstance(member, pdoc.doc.Class):
            spread(member)
    if name == PACKAGE:
        doc.docstring += START
    if name == f"{PACKAGE}.methods":
        doc.docstring += "\n\n" + tables.page()
    return doc


def pages() -> dict[str, pdoc.doc.Module]:
    """All pages by module name."""
    return {name: page(name, names) for name, names in PAGES.items()}
