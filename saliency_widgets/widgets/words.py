"""Numbers and sentences as the panels write them: real minus signs, units, short and lower case."""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..saliency_map import SaliencyMap

# The families in the order of the pills: title and the question that each answers.
FAMILIES = {
    "gradient": ("Gradient", "what would change the score?"),
    "path": ("Path", "what built the score up, from black or from blur?"),
    "cam": ("CAM", "where did this layer look?"),
    "cut": ("Cut", "what happens without this part?"),
    "reference": ("Reference", "compared with what?"),
    "inside": ("Inside", "what does this layer see?"),
}
RESIDUAL_LIMIT = 0.02  # a larger share of the score difference is shown with ⚠
SUM_LIMIT = 0.05       # drops whose sum is further from what they should add up to, as a share of it, are shown with ⚠
ERROR_LIMIT = 0.25     # a larger standard error, as a share of the map, is shown with ⚠
FIT_LIMIT = 0.5        # a fit that explains less of the variance is shown with ⚠


def plain(value: float, digits: int = 2) -> str:
    """Write a number with a real minus sign."""
    text = f"{abs(value):.{digits}f}"
    return ("−" if value < 0 and float(text) else "") + text


def number(value: float) -> str:
    """Write a number of any size with a real minus sign: three digits below one, else two."""
    return plain(value, 3 if abs(value) < 1 else 2)


def signed(value: float, digits: int = 2) -> str:
    """Write a number that always carries its sign."""
    text = f"{abs(value):.{digits}f}"
    return ("−" if value < 0 and float(text) else "+") + text


def percent(share: float) -> str:
    """Write a share as a percentage, with one digit below 10 %."""
    return f"{plain(100 * share, 1 if abs(share) < 0.1 else 0)} %"


def evaluations(count: int) -> str:
    """Write a count of model evaluations."""
    return f"{count:,} evaluation".replace(",", " ") + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """Write a time: `0.2 s`, `12 s`, `3 min`."""
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def cost(count: int, seconds: float | None) -> str:
    """Write what a map costs: `65 evaluations · 2.2 s`."""
    return evaluations(count) + ("" if seconds is None else f" · {duration(seconds)}")


def sentence(error: BaseException) -> str:
    """Write an error as one line: the first line of its message, without a final stop."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"no file {str(error.filename)!r}: check the path"
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = re.sub(r" ?<[\w.]+ object at 0x[0-9a-f]+>", "", text)  # an address tells a person nothing
    return (text.strip().splitlines() or [type(error).__name__])[0].rstrip(".") or type(error).__name__


@dataclass(frozen=True)
class Evidence:
    """How far a map can be trusted: a mark, a few words beside the method's name, the sentence behind them.

    `remedy` names what a click may do about it ("double the steps"), empty where nothing helps.
    """

    ok: bool
    text: str
    sentence: str
    remedy: str = ""


def evidence(map: SaliencyMap, family: str) -> Evidence | None:
    """Read the evidence off a map; None where the method promises nothing that could be checked.

    The first thing that is not as it should be is written beside the name, else the first that is; all of it, what the map
    warns of, and its method's `caution` stand in the sentence.
    """
    found = [one for one in _checks(map, family) if one is not None]
    doubts = [one for one in found if not one.ok]
    sentences = [stop(w) for w in map.warnings] + [one.sentence for one in found]
    if map.caution:
        sentences.append(stop(f"{map.title} {map.caution}"))
    if not sentences:
        return None
    text = [*(one.text for one in doubts), *(short(w) for w in map.warnings), *(one.text for one in found), short(map.caution)][0]
    remedy = next((one.remedy for one in doubts if one.remedy), "")
    return Evidence(bool(found) and not doubts and not map.warnings, text, " ".join(sentences), remedy)


def _checks(map: SaliencyMap, family: str) -> Iterator[Evidence | None]:
    """What can be checked of this map, the most telling first."""
    if map.residual is not None:
        yield residual(map)
    if map.coverage is not None:
        yield coverage(map.coverage)
    if "r2" in map.details:
        yield fit(map)
    if map.standard_error is not None:
        yield spread(map)
    if "pair_drops" in map.details:
        yield pairs(map)
    elif family == "cut" and map.region_scores is not None and not {"r2", "film"} & map.details.keys() and map.residual is None:
        yield drops(map)
    if family == "cam" and map.default_sign == "positive":
        yield kept_by_relu(map)
    if "film" in map.details and "after" in map.details:
        yield turns(map) if "game" in map.details else course(map)


def short(text: str, limit: int = 34) -> str:
    """Cut a sentence at a word for the name row, or inside a long one; the whole one stands in the tooltip."""
    if len(text) <= limit:
        return text
    whole = text[:limit].rsplit(" ", 1)[0].rstrip(",;:")
    return f"{whole} …" if len(whole) >= limit / 2 else f"{text[:limit - 1]}…"


def stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def residual(map: SaliencyMap) -> Evidence:
    """The gap between what the map sums to and what the score does, as a share of the score difference."""
    # Pixels repeat what their region has: the regions are what sums up.
    summed = map.values if map.region_scores is None else map.region_scores
    gap, total = map.residual, float(np.asarray(summed, dtype=np.float64).sum())
    ok, error = abs(gap) <= RESIDUAL_LIMIT, map.details.get("sum_standard_error")
    rise = "" if gap == -1 else f"; the score rises by {signed(total / (1 + gap))}"
    words = f"The map sums to {signed(total)} {map.unit}{rise}. The gap is {percent(abs(gap))} of that."
    if error is not None and not ok:  # of a sample nobody expects more than its standard error allows
        ok = abs(gap * map.details.get("rise", 0.0)) <= 3 * error
        words += f" That is {'no ' if ok else ''}more than three standard errors of the sum, {plain(3 * error)}."
    if map.last_change is not None:
        words += f" The last refinement changed the map by {percent(map.last_change)}."
    return Evidence(ok, f"residual {percent(abs(gap))}", words, "" if ok else "double the steps")


def coverage(words: str) -> Evidence:
    """How many of the network's activation calls the backward rule reached: "17 of 17 activation calls rewritten"."""
    counts = [int(n) for n in re.findall(r"\d+", words)[:2]]
    ok = len(counts) < 2 or counts[0] == counts[1]
    rest = "" if ok else " Where the rule does not reach, the plain gradient passes."
    return Evidence(ok, f"{counts[0]} of {counts[1]} calls" if len(counts) == 2 else words, stop(words) + rest)


def spread(map: SaliencyMap) -> Evidence:
    """The standard error of a sample mean, as a share of the map."""
    error = map.standard_error
    return Evidence(error <= ERROR_LIMIT, f"± {percent(error)}",
                    f"The map is a sample mean: its standard error is {percent(error)} of its size. Four times as many samples "
                    "halve it.", "" if error <= ERROR_LIMIT else "double the samples")


def course(map: SaliencyMap) -> Evidence:
    """What a method that learns step by step has reached."""
    before, after = float(map.details["before"]), float(map.details["after"])
    words = f"{number(before)} → {number(after)}"
    settled = "" if map.last_change is None else f" The last stage changed it by {percent(map.last_change)}."
    return Evidence(True, words, f"The number that is steered was {number(before)} for the picture and is {number(after)} "
                                 f"at the end.{settled}")


def kept_by_relu(map: SaliencyMap) -> Evidence | None:
    """The share of a raw class activation map that is positive, which ReLU keeps."""
    values = np.asarray(map.values, dtype=np.float64)
    mass = np.abs(values).sum()
    if not mass:
        return Evidence(False, "the map is zero", f"Nothing at this layer speaks for or against {map.label}.")
    kept = float(np.maximum(values, 0).sum() / mass)
    rows, columns = values.shape[-2:]
    how = "Most of" if kept >= 0.6 else "Only a part of" if kept > 0 else "Nothing of"
    cell = f"{map.input_size[0] / rows:.3g}"
    return Evidence(kept >= 0.6, f"ReLU keeps {percent(kept)}",
                    f"{how} the raw map is positive. ReLU removes the rest, which speaks against {map.label}. "
                    f"{rows} × {columns} cells of {cell} px; what is finer is interpolated.")


def fit(map: SaliencyMap) -> Evidence | None:
    """How well a linear model of the regions tells the score; None where the score never changed."""
    r2 = map.details["r2"]
    return None if r2 is None else Evidence(
        r2 >= FIT_LIMIT, f"R² {plain(r2)}",
        f"A linear model of {len(map.region_scores)} regions explains {percent(r2)} of how the score varies when they are "
        "on or off. Its numbers are slopes, not drops.")


def drops(map: SaliencyMap) -> Evidence:
    """What the single drops add up to, of what all regions drop together where that is known, else of the whole score.

    Regions depend on each other, so the two need not agree: single drops say nothing about several regions taken at once.
    """
    scores = np.asarray(map.region_scores, dtype=np.float64)
    total, whole = float(scores.sum()), map.details.get("together", map.details.get("whole"))
    first = f"Taken one by one the {len(scores)} drops add up to {signed(total)} {map.unit}"
    if whole is None:
        return Evidence(True, f"drops sum to {plain(total, 1)} {map.unit}",
                        f"{first}. Regions that lean on each other count more than once, or not at all: read a single drop "
                        "with care.")
    ok = abs(total - whole) <= SUM_LIMIT * abs(whole)
    other = f"all regions off together lower it by {signed(whole)}" if "together" in map.details else \
        f"the score of the whole picture is {signed(whole)}"
    why = "The regions act almost alone." if ok else \
        "Regions depend on each other, so the sum need not match: read a single drop with care."
    return Evidence(ok, f"drops sum to {plain(total, 1)} of {plain(whole, 1)} {map.unit}", f"{first}; {other}. {why}")


def pairs(map: SaliencyMap) -> Evidence:
    """With which region the others are paired, what it costs alone, and how far all pairs together are from that."""
    details, scores = map.details, np.asarray(map.region_scores, dtype=np.float64)
    chosen, most = details["region"], int(np.argmax(np.abs(scores)))
    words = f"Alone region {chosen} costs {signed(float(details['drops'][chosen]))} {map.unit}."
    if scores.any():
        words += (f" It leans most on region {most}: both together cost {signed(float(details['pair_drops'][most]))}, "
                  f"{signed(float(scores[most]))} beyond what they cost one by one.")
    return Evidence(True, f"with region {chosen}", f"{words} Three and more regions at once are another question.")


def turns(map: SaliencyMap) -> Evidence:
    """What taking regions in their order reached, and the mean of the curve, by which orders are compared."""
    details = map.details
    before, after, count = details["before"], details["after"], len(details["order"])
    done = "taken away" if details["game"] == "deletion" else "put back"
    tried = "every region that was left" if details["exact"] else "the most promising regions"
    return Evidence(True, f"{number(before)} → {number(after)}",
                    f"The score was {number(before)} and is {number(after)} with {count} regions {done}. Its mean over the "
                    f"steps, the area under the curve, is {number(details['area'])}. Each step tried {tried} and took the "
                    f"best, which is not always the best order.")
