"""An open notebook with an Explorer: what a person sees and does there, and what the kernel says about it."""
from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .lab import ROOT, Lab

SHOTS = ROOT / "build" / "shots"
PATIENCE = 60_000  # milliseconds; the machine may be busy with other things
PRELUDE = "import json, time\nimport numpy as np\nimport saliency_widgets as sw"
FIRST = {"Gradient": "gradient", "Path": "integrated_gradients", "CAM": "grad_cam", "Cut": "leave_one_out"}
DEMO = ["ex = sw.Explorer(*sw.demo())\nex"]

# Counts the listeners on window and document that end with a signal, as ours all do.
WATCH = """
window.swHeld = [];
const add = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (type, f, options) {
  if ((this === window || this === document) && options && options.signal) window.swHeld.push([type, options.signal]);
  return add.call(this, type, f, options);
};
"""
EXECUTE = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const future = kernel.requestExecute({code, store_history: false, allow_stdin: false});
  let text = "", error = "";
  future.onIOPub = (m) => {
    if (m.header.msg_type === "stream" && m.content.name === "stdout") text += m.content.text;
    if (m.header.msg_type === "error") error = m.content.ename + ": " + m.content.evalue;
  };
  await future.done;
  return {text, error};
}"""
SAMPLE = """(step) => {
  const picture = document.querySelector(".sw-explorer .sw-picture"), over = picture.querySelector(".sw-over");
  const box = picture.getBoundingClientRect(), line = document.querySelector(".sw-explorer .sw-readout"), seen = [];
  const [rows, columns] = step.size;
  for (let y = step.start; y < rows; y += step.step)
    for (let x = step.start; x < columns; x += step.step) {
      const at = {clientX: box.left + ((x + 0.5) / columns) * box.width, clientY: box.top + ((y + 0.5) / rows) * box.height};
      over.dispatchEvent(new PointerEvent("pointermove", {...at, bubbles: true, pointerId: 1, pointerType: "mouse"}));
      const value = line.querySelector("[data-value]");
      seen.push([line.querySelector(".sw-at").textContent, value ? Number(value.dataset.value) : null]);
    }
  return seen;
}"""


class Notebook:
    """A page with a notebook. Coordinates `(x, y)` are pixels of the picture; `ex` is the Explorer in the kernel."""

    def __init__(self, page: Any, lab: Lab, name: str, scripts: Iterable[str] = ()):
        self.page, self.lab, self.name = page, lab, name
        self.errors: list[str] = []
        self.sent: list[bytes] = []  # what went to the kernel
        self.pictured = (224, 224)
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("websocket", self._listen)
        for script in (WATCH, *scripts):
            page.add_init_script(script)

    def _listen(self, socket: Any) -> None:
        if "/channels" in socket.url:
            socket.on("framesent", lambda data: self.sent.append(data if isinstance(data, bytes) else data.encode()))

    # ---- the notebook

    @classmethod
    def window(cls, chromium: Any, lab: Lab, cells: Sequence[str] = DEMO, *, width: int = 1070, height: int = 1000,
               scripts: Iterable[str] = (), **context: Any) -> Notebook:
        """A new window for a notebook of these cells; `scripts` run in its page before anything else there."""
        frame = chromium.new_context(viewport={"width": width, "height": height}, **context)
        return cls(frame.new_page(), lab, lab.write([PRELUDE, *cells]), scripts)

    def begin(self, theme: str = "light", run: bool = True) -> None:
        """Open the notebook, run its cells, and wait for the Explorer's first map."""
        self.open()
        self.set_theme(theme)
        if run:
            self.run_all()
            self.first_sight()

    def leave(self) -> None:
        """Close the window."""
        self.page.context.close()

    def open(self) -> None:
        """Load the page and wait for its kernel."""
        self.page.goto(f"{self.lab.url}/doc/tree/{self.name}?reset")
        self.ready()

    def close(self) -> None:
        """Close the Explorer in the kernel, which others share; the page must bear it."""
        self.run("if 'ex' in globals():\n    ex.close()\n    del ex")
        self.page.wait_for_timeout(200)

    def ready(self) -> None:
        """Wait for the notebook and for its connection to the kernel."""
        self.page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.sessionContext.session?.kernel")
        self.page.evaluate("""async () => {
          await window.jupyterapp.restored;
          const context = window.jupyterapp.shell.currentWidget.context;
          await context.ready; await context.sessionContext.ready; await context.sessionContext.session.kernel.info;
        }""")

    def command(self, name: str, **arguments: Any) -> None:
        """Execute a command of JupyterLab and wait for it."""
        self.page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)", [name, arguments])

    def set_theme(self, theme: str) -> None:
        self.command("apputils:change-theme", theme=f"JupyterLab {theme.title()}")
        flag = "true" if theme == "light" else "false"
        self.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{flag}'")

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def first_sight(self) -> None:
        """Wait until the Explorer stands there with its first map painted, and bring it into sight."""
        self.page.wait_for_selector(".sw-explorer .sw-picture[data-painted]", state="attached")
        self.page.locator(".sw-explorer").first.evaluate("(node) => node.scrollIntoView({block: 'start'})")
        self.settle()

    # ---- the kernel

    def run(self, code: str) -> str:
        """Run code in the kernel; what it prints. An error there is an error here."""
        said = self.page.evaluate(EXECUTE, code)
        if said["error"]:
            raise AssertionError(f"in the kernel: {said['error']}")
        return said["text"]

    def start(self, code: str) -> None:
        """Let the kernel begin with `code` and do not wait."""
        self.page.evaluate(f"(code) => {{ ({EXECUTE})(code); }}", code)

    def value(self, expression: str) -> Any:
        """The value of a Python expression that JSON can say."""
        return json.loads(self.run(f"print(json.dumps({expression}))"))

    def array(self, expression: str) -> np.ndarray:
        """The value of an array expression, as float64."""
        self.run(f"import base64; _a = np.asarray({expression}, np.float64)")
        shape = self.value("_a.shape")
        data = base64.b64decode(self.run("print(base64.b64encode(_a.tobytes()).decode())"))
        return np.frombuffer(data, np.float64).reshape(shape)

    def until(self, expression: str, patience: int = PATIENCE) -> None:
        """Wait until the kernel says so: what a hand does arrives there on its own way, not before our next question."""
        end = time.monotonic() + patience / 1000
        while not self.value(f"bool({expression})"):
            assert time.monotonic() < end, f"never came true in the kernel: {expression}"
            self.page.wait_for_timeout(100)

    def settle(self) -> None:
        """Wait until the kernel has nothing to do and its newest maps are on screen."""
        end = time.monotonic() + PATIENCE / 1000
        while True:
            assert self.value("ex.wait(60)"), "the kernel did not settle within a minute"
            seqs = " ".join(map(str, self.value("[layer.seq for layer in ex.face.layers]")))
            try:
                self.page.wait_for_function(
                    "(seqs) => document.querySelector('.sw-explorer .sw-picture')?.dataset.painted === seqs",
                    arg=seqs, timeout=5000)
                return
            except Exception:
                assert time.monotonic() < end, f"maps {seqs} never came on screen: {self.painted()}"

    def painted(self) -> str | None:
        """Numbers of the maps on screen."""
        return self.page.evaluate("document.querySelector('.sw-explorer .sw-picture')?.dataset.painted")

    # ---- the stage

    def box(self, selector: str = ".sw-picture") -> dict[str, float]:
        return self.page.locator(f".sw-explorer {selector}").first.bounding_box()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where the centre of a picture's pixel is on the page."""
        box, (rows, columns) = self.box(), self.pictured
        return box["x"] + (x + 0.5) / columns * box["width"], box["y"] + (y + 0.5) / rows * box["height"]

    def hover(self, x: int, y: int) -> dict[str, float]:
        """Point at a pixel; the values of all visible layers in full precision, by name."""
        self.page.mouse.move(*self.place(x, y))
        self.wait_probe(x, y)
        return self.readings()

    def wait_probe(self, x: int, y: int) -> None:
        self.page.wait_for_function(
            "(at) => document.querySelector('.sw-explorer .sw-at')?.textContent === at", arg=f"({x}, {y})")

    def probe(self) -> tuple[int, int] | None:
        """The pixel that the readout speaks of."""
        text = self.page.evaluate("document.querySelector('.sw-explorer .sw-at')?.textContent ?? ''")
        found = re.match(r"\((\d+), (\d+)\)", text)
        return (int(found[1]), int(found[2])) if found else None

    def readings(self) -> dict[str, float]:
        return self.page.evaluate("""() => Object.fromEntries(
            [...document.querySelectorAll(".sw-explorer .sw-readout [data-value]")].map(
                (node) => [node.dataset.layer, Number(node.dataset.value)]))""")

    def sample(self, step: int = 8) -> tuple[np.ndarray, np.ndarray]:
        """The uppermost layer's value at every `step`-th pixel: values (n, m), and their pixels (n·m, 2) as (x, y)."""
        start, (rows, columns) = step // 2, self.pictured
        seen = self.page.evaluate(SAMPLE, {"start": start, "step": step, "size": [rows, columns]})
        places = np.array([[int(n) for n in re.findall(r"\d+", at)] for at, _ in seen])
        values = np.array([np.nan if v is None else v for _, v in seen], float)
        return values.reshape(len(range(start, rows, step)), len(range(start, columns, step))), places

    def shot(self, name: str, selector: str = ".sw-explorer") -> np.ndarray:
        """Take a picture of a part of the page into `build/shots`; its pixels (h, w, 3)."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        data = self.page.locator(selector).first.screenshot(path=Path(SHOTS) / f"{name}.png")
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)

    def canvas(self) -> np.ndarray:
        """The pixels of the stage's canvas (h, w, 4), without probe."""
        url = self.page.evaluate("document.querySelector('.sw-explorer .sw-base').toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))).astype(int)

    # ---- the panel

    def choose_class(self, name: str) -> None:
        """Click a class's name and wait for its map."""
        self.page.locator(".sw-explorer .sw-names button", has_text=re.compile(f"^{re.escape(name)}$")).click()
        self.until(f"ex.session.label(ex.target) == {name!r} and ex.maps[ex.method].target == ex.target")
        self.settle()

    def choose_family(self, title: str) -> None:
        """Click a family, pay where it asks, and wait for its map."""
        self.page.locator(".sw-explorer .sw-families button", has_text=title).click()
        self.until(f"ex.method == {FIRST[title]!r} and ex.wait(60)")
        price = self.page.locator(".sw-explorer .sw-wait-row .sw-row-button:visible").first
        if not self.value("ex.method in ex.maps and ex.maps[ex.method].final"):  # a preview may be there, and then a price
            price.click()
        self.until("ex.method in ex.maps and ex.maps[ex.method].final")
        self.settle()

    def drag(self, handle: Any, dx: float, steps: int = 12, pause: int = 40) -> None:
        """Take a slider's handle and move it by `dx` CSS pixels, then let go."""
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for i in range(1, steps + 1):
            self.page.mouse.move(x + dx * i / steps, y)
            self.page.wait_for_timeout(pause)
        self.page.mouse.up()

    def status(self) -> str:
        return self.page.locator(".sw-explorer .sw-status-text").inner_text()
