"""What happens in the page while a hand moves: pointer events, maps painted, messages; all on the page's own clock."""
from __future__ import annotations

import time
from typing import Any

from tests.browser.notebook import PATIENCE, Notebook

# Times are performance.now() after the frame in which something was painted, and of events as the browser stamps them.
# A message that answers our own questions to the kernel is not counted: its parent is a request to execute.
METER = """
(() => {
  const meter = window.swMeter = {log: null, last: 0};
  const afterFrame = (done) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => done(performance.now());
    channel.port2.postMessage(0);
  };
  const note = (kind, ...facts) => {
    if (!meter.log) return;
    meter.last = performance.now();
    meter.log.push([kind, ...facts]);
  };
  for (const type of ["pointermove", "pointerup", "keydown", "wheel", "change"])
    window.addEventListener(type, (event) => note(type, event.timeStamp), {capture: true, passive: true});

  // A slider's last position is given by the last event that changed its value, for pixels may be finer than its steps.
  let moved = 0, slider = null;
  window.addEventListener("pointermove", (event) => {
    moved = event.timeStamp;
    if (event.buttons) note("dragged", moved);
  }, {capture: true});
  window.addEventListener("pointerdown", (event) => {
    slider?.disconnect();
    const held = event.target.closest?.(".noUi-target, .sw-slider");
    slider = held && new MutationObserver(() => note("slid", moved));
    if (held) slider.observe(held, {attributeFilter: ["aria-valuetext"], subtree: true});
  }, {capture: true});
  window.addEventListener("pointerup", (event) => {
    if (slider) note("released", event.timeStamp);
    slider?.disconnect();
    slider = null;
  });

  const stage = () => document.querySelector(".sw-explorer .sw-picture");
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  let looking = false;  // a frame may clear more than once
  CanvasRenderingContext2D.prototype.clearRect = function (...box) {
    if (meter.log && !looking && this.canvas.className === "sw-base") {
      looking = true;
      afterFrame((at) => { looking = false; note("look", at); });
    }
    return clear.apply(this, box);
  };
  document.addEventListener("load", (event) => {
    const picture = event.target.closest?.(".sw-explorer .sw-trip .sw-pictured");
    if (picture) afterFrame((at) => note("panel", at, [...picture.parentElement.children].indexOf(picture)));
  }, {capture: true});

  const parent = (data) => {
    if (typeof data === "string") return JSON.parse(data).parent_header?.msg_type;
    const view = new DataView(data), at = (i) => Number(view.getBigUint64(8 * (i + 1), true));
    return JSON.parse(new TextDecoder().decode(new Uint8Array(data, at(2), at(3) - at(2)))).msg_type;
  };
  const own = ["execute_request", "kernel_info_request"];
  window.WebSocket = class extends WebSocket {
    constructor(url, ...more) {
      super(url, ...more);
      if (String(url).includes("/channels")) this.addEventListener("message", ({data}) => {
        if (!meter.log) return;
        const at = performance.now();
        if (!own.includes(parent(data))) note("bytes", at, typeof data === "string" ? data.length : data.byteLength);
      });
    }
  };

  const watch = (selector, options, seen) => {
    const observer = new MutationObserver(seen);
    observer.observe(document.querySelector(selector), options);
    return observer;
  };
  // What the class bars say: their numbers, the ticks of the whole picture, and how long each bar is by now.
  const bars = () => [
    document.querySelector(".sw-explorer .sw-numbers").innerText.replaceAll(/\\s+/g, " "),
    ...[...document.querySelectorAll(".sw-explorer .sw-ticks i")].map((tick) => tick.getAttribute("style")),
    ...[...document.querySelectorAll(".sw-explorer .sw-bars .bargroup rect")].map((bar) => Math.round(bar.getAttribute("width"))),
  ].join(" | ");
  meter.begin = () => {
    meter.log = [];
    meter.bars = bars();
    let said = meter.bars;
    const noteBars = () => {
      const now = bars();
      if (now !== said) afterFrame((at) => note("bars", at, now));
      said = now;
    };
    meter.picture = stage().querySelector(".sw-base").toDataURL();
    meter.panel = document.querySelector(".sw-explorer .sw-body").innerHTML;
    let probe = "", chosen = document.querySelector(".sw-explorer .sw-names .sw-on")?.textContent;
    meter.observers = [
      watch(".sw-explorer .sw-picture", {attributeFilter: ["data-painted"]}, () => {
        const painted = stage().dataset.painted;
        afterFrame((at) => note("map", at, painted));
      }),
      watch(".sw-explorer .sw-readout", {childList: true, subtree: true}, () => {
        const now = document.querySelector(".sw-explorer .sw-at")?.textContent ?? "";
        if (now !== probe) afterFrame((at) => note("probe", at, now));
        probe = now;
      }),
      watch(".sw-explorer .sw-names", {attributes: true, subtree: true, attributeFilter: ["class"]}, () => {
        const now = document.querySelector(".sw-explorer .sw-names .sw-on")?.textContent;
        if (now !== chosen) afterFrame((at) => note("class", at, now));
        chosen = now;
      }),
      watch(".sw-explorer .sw-classes", {childList: true, subtree: true, attributeFilter: ["width"]}, noteBars),
      watch(".sw-explorer .sw-tag", {attributeFilter: ["data-drag"]}, () => {
        const drag = document.querySelector(".sw-explorer .sw-tag").dataset.drag;
        if (drag) afterFrame((at) => note("tag", at, drag));
      }),
    ];
  };
  meter.quiet = (ms) => performance.now() - meter.last > ms && !document.querySelector(".sw-explorer.sw-busy");
  meter.end = () => {
    meter.observers.forEach((observer) => observer.disconnect());
    const log = meter.log, picture = stage().querySelector(".sw-base").toDataURL();
    meter.log = null;
    return {log, painted: stage().dataset.painted, stage: picture !== meter.picture, bars: bars(), before: meter.bars,
            panel: document.querySelector(".sw-explorer .sw-body").innerHTML !== meter.panel};
  };
})();
"""


class Unseen(Exception):
    """A drag after which something that must have happened had not: its figures would be measured on nothing."""


class Meter:
    """Measures one drag: `begin`, move the hand, `end`."""

    def __init__(self, notebook: Notebook):
        self.notebook, self.page = notebook, notebook.page

    def begin(self) -> None:
        """Note everything from now on; evaluations count from zero."""
        self.notebook.run("ex.session.stats.reset()")
        self.page.evaluate("swMeter.begin()")

    def rest(self, milliseconds: int = 300) -> None:
        """Wait until nothing has happened in the page for a while, without asking the kernel, which would be work for it."""
        end = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate("(ms) => swMeter.quiet(ms)", milliseconds):
            if time.monotonic() > end:
                raise Unseen("the page did not come to rest")
            self.page.wait_for_timeout(50)

    def end(self, arrived: str) -> dict[str, Any]:
        """Wait for the answer to the last position and return what was noted.

        `arrived` is the kernel's expression that is true once it has that position.
        """
        self.rest()
        try:
            self.notebook.until(arrived, 10_000)
            self.notebook.settle()
        except AssertionError as error:
            raise Unseen(f"the last position did not arrive: {error}") from None
        self.rest(150)
        found = self.page.evaluate("swMeter.end()")
        found["forward"], found["error"] = self.notebook.value("[ex.session.stats.forward_samples, ex.error]")
        return found


def figures(found: dict[str, Any], sight: str, last: str, moving: bool) -> dict[str, float]:
    """Of one drag: updates and events a second, delay in milliseconds, bytes to the page, evaluations.

    `sight` is what must be seen (map, look, panel, probe, class, bars, tag), `last` the kind of event that gives the last
    position: a DOM event, "slid" (a slider's value changed), "released" (one was let go), "dragged" (moved with a button down).
    The delay ends with the first painting of the map that stays, of the class bars when numbers, ticks and the lengths of all
    bars are first what they stay, of anything else with the first painting after the event (look, probe, class) or the last
    (panel, several pictures; tag, the drop that a drawing tells while it goes on, whose first one counts from the first
    event). Unseen where there was no such painting.
    """
    log = found["log"]
    if found["error"]:
        raise Unseen(f"the Explorer says: {found['error']}")
    events = [entry[1] for entry in log if entry[0] == last]
    if not events:
        raise Unseen(f"no {last} reached the page")
    began, at = events[0], events[-1]
    if sight == "map":
        seen = _first_of_each([(entry[1], entry[2].split()[0]) for entry in log if entry[0] == "map"])
        arrived = [t for t, number in seen if number == found["painted"].split()[0]]
    elif sight == "panel":
        seen = [(entry[1], "") for entry in log if entry[0] == "panel" and entry[2] == 0]
        arrived = [entry[1] for entry in log if entry[0] == "panel" and entry[1] > at][-1:]
    elif sight == "bars":
        seen = [(entry[1], "") for entry in log if entry[0] == "bars"]
        said = [(entry[1], entry[2]) for entry in log if entry[0] == "bars"]
        other = [i for i, (_, words) in enumerate(said) if words != found["bars"]]
        arrived = [t for t, _ in said[other[-1] + 1 if other else 0:]][:1] if found["bars"] != found["before"] else []
    elif sight == "tag":
        seen = _first_of_each([(entry[1], entry[2]) for entry in log if entry[0] == "tag"])
        arrived = [t for t, _ in seen if t > at][-1:]
    else:
        seen = [(entry[1], "") for entry in log if entry[0] == sight]
        arrived = [t for t, _ in seen if t > at]
    if not arrived:
        raise Unseen(f"nothing new was seen ({sight}) after the last {last}")
    if arrived[0] < at:
        raise Unseen("what stayed was painted before the last position: the last move changed nothing")
    if sight in ("map", "look") and not found["stage"]:
        raise Unseen("the stage looks as before")
    if sight == "panel" and not found["panel"]:
        raise Unseen("the panel looks as before")
    result = {"first": next(t for t, _ in seen if t > at) - at} if sight in ("map", "bars") else {}
    if sight == "tag":
        result = {"first": seen[0][0] - began}
    result |= {"delay": arrived[0] - at, "bytes": sum(entry[2] for entry in log if entry[0] == "bytes"),
              "evaluations": found["forward"]}
    if moving:
        span = (at - began) / 1000
        if span <= 0:
            raise Unseen(f"a single {last} is no drag")
        result |= {"rate": sum(began <= t <= at for t, _ in seen) / span, "events": (len(set(events)) - 1) / span}
    return result


def _first_of_each(seen: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Each number's first painting."""
    first: dict[str, float] = {}
    for at, number in seen:
        first.setdefault(number, at)
    return [(at, number) for number, at in first.items()]
