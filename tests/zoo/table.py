"""The support table: what the survey found, as Markdown beside it."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from saliency_widgets import methods

TABLE = Path(__file__).parent / "SUPPORT.md"


def write(known: dict[str, Any]) -> None:
    """Write the table of all architectures surveyed."""
    TABLE.write_text("\n".join(lines(known)) + "\n")


def lines(known: dict[str, Any]) -> list[str]:
    """The table line by line."""
    out = [
        "# Which methods reach which networks", "",
        "Every classification architecture of torchvision × every method, written by `python -m tests.zoo.survey`. Networks",
        "have seeded random weights, calibrated so that their scores differ. A *map* is finite, of the right shape and not all",
        "zero; a *refusal* is a sentence that says why and what to do instead. Guided backprop's column counts the activation",
        "calls that the rule reached, of those that the dispatcher saw; DeepLIFT's columns show how far its sum is from the",
        "score difference, as a share of it.", "",
        "| network | pixels | maps | refusals | failures | guided backprop | DeepLIFT float32 | float64 | LRP |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in sorted(known):
        out.append(_row(name, known[name]))
    sentences: dict[tuple[str, str], list[str]] = {}
    for name in sorted(known):
        for method, facts in known[name]["methods"].items():
            if facts["status"] != "map":
                sentences.setdefault((method, facts["message"]), []).append(name)
    out += ["", "## Refusals in full", ""]
    for method in methods():
        rows = [(message, names) for (m, message), names in sentences.items() if m == method]
        out += [f"- `{method}` on {', '.join(names)}: {message}" for message, names in rows]
    return out


def _row(name: str, row: dict[str, Any]) -> str:
    by_status: dict[str, list[str]] = {"map": [], "refused": [], "failed": []}
    for method, facts in row["methods"].items():
        by_status[facts["status"]].append(method)
    guided, lift, lrp = (row["methods"].get(m, {}) for m in ("guided_backprop", "deeplift", "lrp"))
    counts = " ".join(guided.get("coverage", "–").split()[:3])
    share = lambda value: "–" if value is None else f"{abs(value):.0e}"
    relevance = "refused" if lrp.get("status") == "refused" else "✓" if lrp.get("status") == "map" else "–"
    cells = (name, row["size"], f"{len(by_status['map'])} of {len(row['methods'])}", ", ".join(by_status["refused"]) or "–",
             ", ".join(by_status["failed"]) or "–", counts, share(lift.get("residual")), share(row.get("deeplift64")), relevance)
    return "| " + " | ".join(map(str, cells)) + " |"
