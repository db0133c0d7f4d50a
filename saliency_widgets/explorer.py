"""The Explorer: traits and wiring. Which control asks for which map; no mathematics, no pixels."""
from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import ipywidgets
import traitlets

from .cutting import Cutting
from .engine.worker import Worker
from .granting import SAME, Granting, Wish
from .layering import Layering
from .methods.registry import find, methods
from .model.pictures import open_picture
from .picturing import Picturing
from .remembering import Remembering
from .saliency_map import SaliencyMap
from .saving import Saving
from .session import Session
from .trusting import Trust
from .undoing import Undoing
from .widgets.controls import Params
from .widgets.face import Face, Hands, close_tree
from .widgets.words import plain, sentence


class Explorer(Picturing, Cutting, Layering, Remembering, Undoing, Granting, Saving, ipywidgets.VBox):
    """A picture with the saliency maps of an image model laid over it, to be asked by touching.

    `model` maps `(N, C, H, W)` to scores `(N, K)`; a list of models gives a `Compare` of them. `img` is a PIL image, a
    path, a uint8 array `(H, W, 3)` or the input tensor; `labels` are K names. The keywords are those of `Session`. What a
    hand can do, code can do: assign `image`, `target`, `method`, `params["integrated_gradients"].alpha`; a bad value
    raises ValueError, TypeError, LookupError or FileNotFoundError and changes nothing. What fails later stands in the
    status line and in `error`. `trust` measures how far the shown map can be trusted. Two of them are
    linked in two lines, the second without the kernel:
    `traitlets.link((a, "target"), (b, "target"))`, `ipywidgets.jslink((a.layers[0], "opacity"), (b.layers[0], "opacity"))`.
    """

    image = traitlets.Any(help="the picture as given; assign another one, stale work is cancelled")
    target = traitlets.Any(help="index of the explained class; an index, a label, or None for the most probable")
    contrast = traitlets.Any(None, allow_none=True, help="index of the class to explain against, or None")
    truth = traitlets.Any(None, allow_none=True, help="index of the picture's true class, or None; shown beside the prediction")
    method = traitlets.Any("grad_cam", help="name of the method, as in methods()")
    error = traitlets.Unicode("", help="what went wrong last, one line; empty when all is well")

    _ready = False  # until everything is built, and again after close

    def __new__(cls, model: Any, img: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(model, (list, tuple)):  # several models: a `Compare` of them
            from .compare import Compare

            return Compare.of(list(model), img, *args, **kwargs)
        return super().__new__(cls, model, img, *args, **kwargs)

    def __init__(self, model: Any, img: Any, labels: Any = None, *, preprocess: Any = "auto", target: Any = None,
                 method: str = "grad_cam", device: Any = None, score: Any = "logit", output: Any = None,
                 contrast: Any = None, backgrounds: Any = None, truth: Any = None, background: str = "white",
                 mean: Any = None, std: Any = None, space: str = "input", backend: str = "auto"):
        find(method)
        self._lock, self._quiet, self._hand = threading.RLock(), 0, False
        img = self._begin_picturing(img)
        self.session = Session(model, img, labels, preprocess=preprocess, target=target, device=device, score=score,
                               output=output, contrast=contrast, backgrounds=backgrounds, truth=truth,
                               background=background, mean=mean, std=std, space=space, backend=backend)
        self.params = Params(methods())
        self.maps: dict[str, SaliencyMap] = {}
        self._shown: list[SaliencyMap | None] = [None, None]
        self._about: list[tuple | None] = [None, None]  # target and contrast of either
        self._callbacks: list[Callable[[SaliencyMap], None]] = []
        self._pending, self._paid_for, self._last, self._newest = SAME, None, None, None
        self._kept_image, self._follow = img, False
        self._begin_cutting()
        self._begin_layering()
        self._given = dict(preprocess=preprocess, score=score, output=output, backgrounds=backgrounds, background=background,
                           mean=mean, std=std, space=space)  # what changes values: for `code`
        self._worker = Worker(on_error=lambda error: self._fail(error))
        absent, self.trust = self._absent(), Trust(self)
        self.face = Face(
            Hands(pick=lambda i: self._by_hand("target", i),
                  search=lambda text: self._by_hand("target", int(text) if text.isdigit() else text),
                  contrast=lambda i: self._by_hand("contrast", i), method=lambda name: self._by_hand("method", name),
                  run=self._pay, sheet=self._toggle_sheet, param=self._set_param, edit=self._edit, file=self._open_file,
                  fill=self._open_fill, point=lambda _: self._ask(hand=True),
                  picture=lambda number: self._by_hand("index", number),
                  turn=lambda steps: self._by_hand("index", self._turned(steps)), refresh=self.refresh, cancel=self.cancel,
                  undo=self.undo, redo=self.redo, trust=self.trust.toggle,
                  pin=self._pin_by_hand, unpin=self._unpin_by_hand, save=self._saved),
            methods(), self.params, classes=len(self.session.logits), labels=self._names(),
            layers=self.session.layers, default_layer=self.session.default_layer, absent=absent)
        super().__init__(children=self.face.children)
        self.add_class("sw-explorer")
        self._begin_undoing()  # first: who observes later changes more
        for layer in self.face.layers:
            self._watch(layer)
        for name in self.params:
            if self.params[name].has_trait("regions"):
                self.params[name].observe(lambda _, name=name: self._recut(name), ["grid", "regions", "count"])
            self.params[name].observe(lambda _: self._ask(), traitlets.All)
            self.params[name].on_refusal(self._say)
        with self._publishing():
            self.image, self.target, self.contrast = img, self.session.target, self.session.contrast
            self.truth = self.session.truth
            self.method = self._first(method, absent)
            self._show_picture()
            if self.method != method:
                self._show_facts(f"{absent[method]}: {find(self.method).title} instead")
            self._show_classes(self.target)
            self.face.method.select(self.method)
        self._ready = True
        self._show_strip()
        self._ask(hand=True)

    # ---- the public face

    def __repr__(self) -> str:
        return f"<Explorer {self.session.name}: {find(self.method).title} of {self.session.label(self.target)!r}>"

    @property
    def canvas(self) -> Any:
        """An ipycanvas layer over the picture for your own drawing, in pixels of the picture."""
        return self.face.stage.overlay[2]

    def on_map(self, callback: Callable[[SaliencyMap], None], remove: bool = False) -> None:
        """Have `callback(map)` called with every finished map, on the thread that computes."""
        with self._lock:
            others = [known for known in self._callbacks if known is not callback]
            self._callbacks = others if remove else [*others, callback]

    def wait(self, timeout: float | None = 30) -> bool:
        """Wait until the newest wish is settled and its traits are set; False when the time was up first.

        It never waits for a browser. A wish that failed is settled, too: see `error`.
        """
        return self._worker.wait(timeout)

    def cancel(self) -> None:
        """Stop what runs; what is shown stays."""
        self._worker.cancel()
        self.trust.stop()

    def refresh(self) -> None:
        """Look at the model anew, forget what was kept for it, and compute the shown map again."""
        self._ask(refresh=True)

    def close(self) -> None:
        """Stop computing, end the thread, and close every widget of the Explorer."""
        if not self._ready:
            return super().close()
        self._ready = False
        self._worker.close()
        self._pictures_worker.close()
        self.session.close()
        self.trust.close()
        self.face.close()
        for held in (self.layout, self.style if self.has_trait("style") else None):
            close_tree(held, set())
        super().close()

    # ---- what traits accept

    @traitlets.validate("image")
    def _check_image(self, proposal: Any) -> Any:
        if self._ready and not self._quiet:
            with self._told():
                return self._taken(proposal["value"])
        return proposal["value"]

    @traitlets.validate("target", "contrast", "truth")
    def _check_class(self, proposal: Any) -> int | None:
        value = proposal["value"]
        if value is None and proposal["trait"].name != "target":
            return None
        with self._told():
            return self.session.resolve_target(value)

    @traitlets.validate("method")
    def _check_method(self, proposal: Any) -> str:
        with self._told():
            name = find(proposal["value"]).name
        self._before_method()
        return name

    @contextmanager
    def _told(self) -> Any:
        """An error that Python raises is said in the status line as well."""
        try:
            yield
        except Exception as error:
            if self._ready:
                self._say(error)
            raise

    # ---- wishes

    @contextmanager
    def _publishing(self) -> Any:
        """Set traits and controls without that being a wish."""
        with self._lock:
            self._quiet += 1
            try:
                yield
            finally:
                self._quiet -= 1

    @traitlets.observe("target", "contrast", "method")
    def _changed(self, change: Any) -> None:
        with self._lock:
            if change["name"] == "target" and not self._quiet:
                self._follow = False
        self._ask()

    @traitlets.observe("truth")
    def _truth_changed(self, _: Any) -> None:
        if self._ready:
            with self._publishing():
                self._show_classes(self.target)

    @traitlets.observe("image")
    def _image_changed(self, change: Any) -> None:
        with self._lock:
            if self._ready:
                self._follow_image()
            if self._ready and not self._quiet:
                self._pending, self._follow, self._paid_for = change["new"], True, None
        self._ask()

    def _by_hand(self, name: str, value: Any) -> None:
        """Do what a control asks; what cannot be done is said, not raised into a message handler."""
        with self._lock:
            self._hand = True
            try:
                setattr(self, name, value)
            except Exception as error:
                self._say(error)
            finally:
                self._hand = False

    def _set_param(self, method: str, name: str, value: Any) -> None:
        with self._lock:
            self._hand = True
            try:
                setattr(self.params[method], name, value)
            except Exception as error:
                self._say(error)
            finally:
                self._hand = False

    def _pay(self, method: str) -> None:
        """A click on a row that names its cost."""
        with self._lock:
            self._paid_for = method
            if self.method != method:
                self._by_hand("method", method)
            else:
                self._ask(hand=True)

    def _open_file(self, name: str, data: bytes) -> None:
        """A file was uploaded or dropped on the stage; what is wrong with it is said with its name."""
        with self._lock:
            self._hand = True
            try:
                self.image = data
            except Exception as error:
                refused = ValueError(f"{name}: {sentence(error)}")
                refused.__cause__ = error
                self._say(refused)
            finally:
                self._hand = False

    def _open_fill(self, method: str, parameter: str, name: str, data: bytes) -> None:
        """A file was chosen to fill with; what is wrong with it is said with its name."""
        try:
            picture, _ = open_picture(data)
            picture.filename = name  # the menu says it
        except Exception as error:
            refused = ValueError(f"{name}: {sentence(error)}")
            refused.__cause__ = error
            return self._say(refused)
        self._set_param(method, parameter, picture)

    def _ask(self, hand: bool = False, refresh: bool = False) -> None:
        """Wish for the map of the state as it is now; it replaces whatever was wished before."""
        with self._lock:
            if not self._ready or self._quiet:
                return
            hand = hand or self._hand
            if self._newest is not None and self.method != self._newest.method and self._paid_for != self.method:
                self._paid_for = None
            if not hand:
                self._paid_for = self.method
            new_picture = self._pending is not SAME
            wish = Wish(self._pending, self.target, self.contrast, self.method, self.params[self.method].values(),
                        paid=self._paid_for == self.method, refresh=refresh, point=self._point(),
                        cut=None if new_picture else self._cut_of(self.method))
            self._newest = wish
            with self._publishing():
                self._say(None)
                if not new_picture:
                    self._show_classes(self.target)
                self.face.method.select(self.method)
            self._worker.submit(lambda ticket: self._work(wish, ticket))

    def _point(self) -> float:
        body = self.face.method.bodies[self.method]
        return getattr(body, "point", 0.5)

    # ---- what is said beside the map

    def _say(self, error: BaseException | None) -> None:
        """One line in place of the device, with everything behind "details"; None takes it away."""
        words = "" if error is None else sentence(error)
        if words == self.error:
            return
        with self._publishing():
            self.error = words
            behind = "" if error is None else "".join(traceback.format_exception(error))
            self.face.status.error(words, behind)

    def _facts(self, *more: str) -> tuple[str, str, str]:
        """Name, facts and long form for the status line."""
        picture = self.session.picture
        prepared = picture.description + (" (assumed)" if picture.assumed else "")
        notes = [*self.session.notes, *more]
        facts = "".join(f" · {fact}" for fact in (self.session.device, self.session.backend_name, prepared, *notes) if fact)
        how = "assumed, since nothing says otherwise: use preprocess=, mean=, std=" if picture.assumed else "as given"
        return self.session.name, facts, f"preprocessing {how}: {picture.description}" + "".join(f"; {n}" for n in notes)

    def _show_picture(self) -> None:
        picture = self.session.picture
        self.face.set_picture(picture.shown, picture.seen, None if picture.photo is None else picture.photo.crop)
        self._show_facts()

    def _show_facts(self, *more: str) -> None:
        self._noted = self.session.notes
        self.face.status.show(*self._facts(*more))

    def _show_classes(self, target: int) -> None:
        """The five most probable classes, the explained one among them."""
        rows = self.session.top(5, [index for index in (target, self.truth) if index is not None])
        logits = self.session.logits
        exact = [f"{label}: logit {plain(float(logits[i]))}, probability {plain(p, 4)}" for i, label, p in rows]
        found = self._found if self._found is not None and self.method == self._shown_cut else None
        without = None if found is None or found.probabilities is None else [float(found.probabilities[i]) for i, *_ in rows]
        cut = self.params[self.method].has_trait("regions")
        self.face.classes.show(rows, target, self.contrast, exact, without, self.truth, room=cut)

    def _names(self) -> list[str]:
        return [self.session.label(i) for i in range(len(self.session.logits))] if self.session.labels is not None else []

    def _absent(self) -> dict[str, str]:
        """Methods that this model cannot serve, with the reason."""
        why = {}
        for name, method in methods().items():
            if method.gradients and self.session.subject.script:
                why[name] = "a scripted model gives no gradients"
            elif method.gradients and not self.session.subject.differentiable:
                why[name] = "this callable gives no gradients"
            elif method.family == "inside" and not self.session.subject.differentiable:
                why[name] = "the inside of this model is hidden"
            elif method.positions and self.session.default_layer is None:
                why[name] = f"no layer with positions, so no {method.title}"
            elif not self.session.placed(method):
                why[name] = "where the model looks in the photograph is unknown"
        return why

    def _first(self, wanted: str, absent: dict[str, str]) -> str:
        """The wanted method, or, where the model cannot serve it, the first that it can."""
        return wanted if wanted not in absent else next(name for name in methods() if name not in absent)
