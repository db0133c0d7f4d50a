"""The methods as Markdown, from what each declares once: the same that becomes sliders and validation."""
from __future__ import annotations

import inspect
from collections.abc import Mapping

import saliency_widgets as sw
from saliency_widgets.methods.parameters import Parameter
from saliency_widgets.methods.registry import FAMILIES, Method

TITLES = {"gradient": "Gradient: what would change the score?", "path": "Path: what built the score up?",
          "cam": "CAM: where did this layer look?", "cut": "Cut: what happens without this part?",
          "reference": "Reference: compared with what?", "inside": "Inside: what does this layer see?"}


def span(parameter: Parameter) -> str:
    """What a parameter may be, in words: its range with its unit, its choices, or its kind."""
    unit = f" {parameter.unit}" if parameter.unit else ""
    low, high = parameter.minimum, parameter.maximum
    if low is not None and high is not None:
        return f"{low:g} to {high:g}{unit}"
    if low is not None or high is not None:
        return (f"from {low:g}" if low is not None else f"up to {high:g}") + unit
    if parameter.choices:
        return ", ".join(f"`{choice!r}`" for choice in parameter.choices)
    return parameter.kind


def cell(text: str) -> str:
    """Words as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def parameters(method: Method) -> str:
    """The table of a method's parameters, or a sentence that it has none."""
    if not method.parameters:
        return "No parameters.\n"
    rows = ["| parameter | default | range | what |", "| --- | --- | --- | --- |"]
    rows += [f"| `{p.name}` | `{p.default!r}` | {cell(span(p))} | {cell(p.help)} |" for p in method.parameters]
    return "\n".join(rows) + "\n"


def needs(method: Method) -> str:
    """What a method asks of the model, in words."""
    asked = [words for words, is_so in (("gradients", method.gradients), ("a layer with positions", method.positions)) if is_so]
    return " and ".join(asked) or "forward passes only"


def anchor(method: Method) -> str:
    """What the page's address says behind # for a method."""
    return f"method-{method.name}"


def described(method: Method) -> str:
    """One method: name, cost, needs, paper, warning, what it computes, and its parameters."""
    facts = [f"`session.map({method.name!r})`", method.cost, f"needs {needs(method)}",
             "signed" if method.signed else "not signed"]
    warning = [f"**Warning:** {method.warning}.", ""] if method.warning else []
    title = [f'<a id="{anchor(method)}"></a>', "", f"### {method.title}", ""]
    return "\n".join([*title, " · ".join(facts), "", f"Paper: {method.paper}", "", *warning,
                      inspect.getdoc(method.run) or "", "", parameters(method)])


def overview(methods: Mapping[str, Method]) -> str:
    """One table of all methods: name, family, cost, and what each needs."""
    rows = ["| name | family | cost | needs |", "| --- | --- | --- | --- |"]
    rows += [f"| [{m.name}](#{anchor(m)}) | {m.family} | {cell(m.cost)} | {needs(m)} |" for m in methods.values()]
    return "\n".join(rows) + "\n"


def page() -> str:
    """All methods by family, after a table of them."""
    methods = sw.methods()
    parts = [f"# All {len(methods)} methods", "", overview(methods)]
    for family in FAMILIES:
        parts += ["", f"## {TITLES[family]}", ""]
        parts += [described(method) for method in methods.values() if method.family == family]
    return "\n".join(parts)
