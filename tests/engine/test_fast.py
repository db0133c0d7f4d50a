"""The exact levers: what they answer is what full forwards of the plain clone answer, and they step aside where they cannot."""
import numpy as np
import pytest
import torch
from torch import nn

from saliency_widgets import Session
from saliency_widgets import regions as R
from saliency_widgets.engine import fast as fast_module
from saliency_widgets.engine.incremental import Incremental
from saliency_widgets.engine.store import STORE
from saliency_widgets.engine.worker import Cancelled
from tests.networks import calibrated
from tests.small import Small
from tests.small import tensor as picture

SIZE = (64, 64)


class Wide(Small):
    """The same with channels enough that multiply-adds are what costs."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.conv0 = nn.Conv2d(3, 32, 3, padding=1)
            self.between = nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, x):
        act = nn.functional.softplus if self.smooth else torch.relu
        return super().forward(act(self.between(act(self.conv0(x)))))


def wide(**keywords):
    return Wide(**keywords).double().eval()


def tensor(seed=0):
    return picture(SIZE, seed)


@pytest.fixture
def plainly(monkeypatch):
    """The map of a session that has no fast copy."""
    def made(model, name, **params):
        with monkeypatch.context() as patch:
            patch.setattr(fast_module, "WORTH", 10 ** 9)
            session = Session(model, tensor())
            result = session.map(name, **params)
            assert session.stats.masked_samples == 0 and session.subject.fast(tensor()[None]) is None
            return result
    return made


def blobs():
    """An irregular label map of 40 regions."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 64, (40, 2))
    y, x = np.mgrid[:64, :64]
    return ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(-1)


@pytest.mark.parametrize("name, params", [
    ("leave_one_out", {"grid": 8}), ("leave_one_out", {"regions": blobs(), "fill": "mean"}),
    ("occlusion", {"window": 12, "stride": 6, "fill": "blur"})])
def test_changed_regions_give_what_full_forwards_give(name, params, plainly):
    model = wide()
    session = Session(model, tensor())
    got, wanted = session.map(name, **params), plainly(wide(), name, **params)
    assert session.stats.masked_samples > 0 and session.stats.estimate.incremental
    assert session.stats.forward_samples >= session.stats.masked_samples
    np.testing.assert_allclose(got.values, wanted.values, rtol=0, atol=1e-9 * np.abs(wanted.values).max())


@pytest.mark.parametrize("name, params", [("integrated_gradients", {"steps": 32}), ("smoothgrad", {"n": 20}),
                                          ("blur_ig", {"steps": 32}), ("expected_gradients", {"n": 40})])
def test_gradients_of_the_folded_copy_are_the_models(name, params, plainly):
    session = Session(wide(smooth=True), tensor())
    got, wanted = session.map(name, **params), plainly(wide(smooth=True), name, **params)
    assert session.subject.agrees and session.stats.setup_samples == 1 + fast_module.MAKING + 2
    np.testing.assert_allclose(got.values, wanted.values, rtol=0, atol=1e-9 * np.abs(wanted.values).max())


def test_making_it_counts_the_pictures_that_go_through_the_network(monkeypatch):
    from saliency_widgets.engine import subject as subject_module
    seen, real = [], torch.nn.functional.linear

    def counting(x, *rest):
        if not isinstance(x, torch.fx.Proxy):
            seen.append(len(x))
        return real(x, *rest)

    session = Session(wide(), tensor())
    monkeypatch.setattr(torch.nn.functional, "linear", counting)
    session.subject.make_fast(tensor()[None])
    assert subject_module.folded is not None and session.subject.fast(tensor()[None]) is not None
    assert sum(seen) == fast_module.MAKING


def test_few_evaluations_do_not_pay_for_a_copy():
    session = Session(wide(), tensor())
    session.map("gradient")
    session.map("leave_one_out", grid=6)
    assert not session.subject.tried(tensor()[None]) and session.stats.masked_samples == 0
    assert "too few" in session.stats.estimate and session.notes == ()


def test_one_edited_region_after_a_full_map_costs_two_masked_samples_at_most():
    model, x, _ = calibrated("squeezenet1_0", dtype=torch.float32)
    session, labels = Session(model, x), R.grid((224, 224), 14, 14)
    whole = session.map("leave_one_out")
    session.stats.reset()
    labels[80:96, 104:111] = 196  # half of region 76 becomes a region of its own
    got = session.map("leave_one_out", regions=labels)
    s = session.stats
    assert (s.forward_samples, s.masked_samples, s.setup_samples, s.backward_samples) == (2, 2, 0, 0)
    assert s.estimate.samples == 2 and s.estimate.incremental
    changed = got.region_scores[[76, 196]]
    untouched = np.delete(np.arange(196), 76)
    np.testing.assert_array_equal(got.region_scores[untouched], whole.region_scores[untouched])
    with torch.no_grad():
        masked = torch.where(torch.from_numpy(np.stack((labels == 76, labels == 196)))[:, None], session.inputs.filled(
            session.inputs.fill("black")), x)
        wanted = (model(x) - model(masked))[:, session.target]
    np.testing.assert_allclose(changed, wanted.numpy(), atol=1e-4 * float(model(x).abs().max()))


def test_what_covers_the_picture_goes_the_full_way_and_says_so():
    session = Session(wide(), tensor())
    session.map("leave_one_out", grid=8)
    session.map("lime", n=100, regions=R.grid(SIZE, 4, 4))
    assert not session.stats.estimate.incremental and "reach too much" in str(session.stats.estimate)
    assert session.stats.masked_samples == 64


def test_single_regions_among_coalitions_travel_alone():
    """Kernel SHAP's rows: those that hide little go as changes, the others as full forwards, all in one round."""
    session = Session(wide(), tensor())
    session.map("leave_one_out", grid=8)
    session.stats.reset()
    context, runner = session._context(None, False), session._opened.runner
    name, fill = session.inputs.add_labels(R.grid(SIZE, 16, 16)), session.inputs.fill("black")
    sets = [*(tuple(range(k, 256, 2)) for k in range(12)), (3,), (100, 101), (255,)]
    probes = [context.forward(context.without(name, s, fill)) for s in sets]
    found = [e.logits for _, e in runner.evaluate(probes)]
    assert session.stats.masked_samples == 3 and session.stats.forward_samples == 15
    with torch.no_grad():
        wanted = wide()(session.inputs.batch([p.input for p in probes]))
    torch.testing.assert_close(torch.stack(found), wanted, rtol=0, atol=1e-10)


class Branches(Wide):
    """Looks at the picture's numbers before it decides: cannot be traced."""

    def forward(self, x):
        return super().forward(x if float(x.sum()) > -1e9 else -x)


def test_what_cannot_be_traced_runs_in_full_and_the_status_line_says_why(plainly):
    model = Branches().double().eval()
    session = Session(model, tensor())
    got = session.map("leave_one_out", grid=8)
    assert session.stats.masked_samples == 0 and session.stats.forward_samples == 65
    assert session.stats.estimate.startswith("full forwards: ") and session.subject.reason in session.stats.estimate
    assert any(note.startswith("full forwards only: ") for note in session.notes)
    np.testing.assert_allclose(got.values, plainly(wide(), "leave_one_out", grid=8).values, atol=1e-10)


def test_a_model_with_hooks_runs_in_full_with_its_hooks():
    model = wide()
    model.conv2.register_forward_hook(lambda module, given, out: 2 * out)
    session = Session(model, tensor())
    got = session.map("leave_one_out", grid=8)
    assert session.stats.masked_samples == 0 and "hooks" in session.stats.estimate
    with torch.no_grad():
        masked = tensor()
        masked[:, :8, :8] = 0
        x = torch.stack((tensor(), masked))
        drop = model(x)[:, session.target].diff().neg()
    assert got.region_scores[0] == pytest.approx(float(drop), abs=1e-10)


def test_a_gradient_that_disagrees_is_not_used(monkeypatch, plainly):
    monkeypatch.setattr(fast_module, "AGREE", 2.0)
    session = Session(wide(), tensor())
    got = session.map("integrated_gradients", steps=32)
    assert session.subject.agrees is False
    session.map("leave_one_out", grid=8)
    assert session.stats.masked_samples == 64  # scores are checked on their own
    np.testing.assert_array_equal(got.values, plainly(wide(), "integrated_gradients", steps=32).values)


def test_training_on_and_refreshing_make_it_anew():
    model = wide()
    session = Session(model, tensor())
    session.map("leave_one_out", grid=8)
    first = session.subject.fast(tensor()[None])
    with torch.no_grad():
        model.conv2.weight.mul_(1.5)
    got = session.map("leave_one_out", grid=8)
    second = session.subject.fast(tensor()[None])
    assert second is not first and session.stats.masked_samples == 128
    np.testing.assert_allclose(got.values, Session(model, tensor()).map("leave_one_out", grid=8).values, atol=1e-10)
    session.refresh()
    assert not session.subject.tried(tensor()[None])


def test_base_activations_count_in_the_store_and_leave_it_with_the_picture():
    session = Session(wide(), tensor())
    session.map("leave_one_out", grid=8)
    held = [item for item, _, _ in STORE._items.values() if isinstance(item, Incremental)]
    engine = next(e for e in held if e.picture is session.inputs.image)
    assert engine.nbytes > 0
    session.image = tensor(seed=5)
    STORE.get("anything")  # whoever asks next sweeps
    assert all(item is not engine for item, _, _ in STORE._items.values())
    assert STORE.nbytes == sum(n for _, n, _ in STORE._items.values()) <= STORE.budget


def test_where_base_activations_do_not_fit_full_forwards_go_on(plainly):
    before = STORE.budget
    session = Session(wide(), tensor())
    try:
        STORE.budget = 100_000
        got = session.map("leave_one_out", grid=8)
    finally:
        STORE.budget = before
    assert session.stats.masked_samples == 0 and "base activations" in str(session.stats.estimate)
    np.testing.assert_allclose(got.values, plainly(wide(), "leave_one_out", grid=8).values, atol=1e-10)


def test_out_of_memory_leaves_the_rest_to_full_forwards(monkeypatch, plainly):
    real = Incremental.parts

    def parts(self, change, check):
        for number, part in enumerate(real(self, change, check)):
            if number:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            yield part[0][:5], part[1][:5]
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Incremental, "parts", parts)
    session = Session(wide(), tensor())
    got = session.map("leave_one_out", grid=8)
    assert session.stats.masked_samples == 5 and session.stats.forward_samples == 65
    np.testing.assert_allclose(got.values, plainly(wide(), "leave_one_out", grid=8).values, atol=1e-10)


def test_stopping_in_the_middle_keeps_what_is_ready(monkeypatch):
    from saliency_widgets.engine import incremental
    monkeypatch.setattr(incremental, "OFTEN", 0.0)
    session, told = Session(wide(), tensor()), []

    class Stop:
        def check(self):
            if told and told[-1] >= 32:
                raise Cancelled

    with pytest.raises(Cancelled):
        session.run("leave_one_out", {"grid": 16}, ticket=Stop(), on_progress=lambda done, planned: told.append(done))
    done = session.stats.forward_samples
    assert 32 <= done < 257 and told[-1] == done
    session.stats.reset()
    session.map("leave_one_out", grid=16)
    assert session.stats.forward_samples == 257 - done


class Empty(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def test_a_region_that_shows_the_fill_already_drops_nothing():
    x = tensor()
    x[:, :32] = 0
    got = Session(wide(), x).map("leave_one_out", grid=8)
    assert np.abs(got.region_scores[:32]).max() <= 1e-12 * abs(got.region_scores).max()
    assert Session(Empty(), torch.zeros(3, *SIZE)).map("leave_one_out", grid=8).warnings
