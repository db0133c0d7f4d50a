"""Whatever is edited, the labels stay a partition, names and switches stay on their pixels, and every edit can be undone."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from saliency_widgets import drawing
from saliency_widgets import regions as R
from saliency_widgets.editing import Regions
from tests.small import pixels

SIZE = (12, 16)
point = st.tuples(st.floats(-3, 20), st.floats(-3, 15))


class Editing(RuleBasedStateMachine):
    """Any sequence of edits."""

    @initialize(rows=st.integers(1, 4), columns=st.integers(1, 5))
    def start(self, rows, columns):
        self.told = 0
        self.regions = Regions(R.grid(SIZE, rows, columns), self.tell)
        self.first = self.state()

    def tell(self):
        self.told += 1

    def state(self):
        r = self.regions
        return r.labels.copy(), dict(r.names), r.off

    def attempt(self, edit):
        """An edit happens and is told, or is refused in words and changes nothing."""
        before, told, depth = self.state(), self.told, self.regions.undoable
        try:
            edit()
        except (ValueError, LookupError) as error:
            assert str(error) and self.same(before) and self.told == told
            return
        assert self.told - told == self.regions.undoable - depth == (0 if self.same(before) else 1)

    def same(self, state):
        labels, names, off = self.state()
        return np.array_equal(labels, state[0]) and names == state[1] and off == state[2]

    some = st.integers(0, 25)

    @rule(points=st.lists(point, max_size=6))
    def lasso(self, points):
        self.attempt(lambda: self.regions.lasso(points))

    @rule(a=st.integers(-2, 14), b=st.integers(-2, 18), c=st.integers(-2, 14), d=st.integers(-2, 18))
    def rectangle(self, a, b, c, d):
        self.attempt(lambda: self.regions.rectangle(a, b, c, d))

    @rule(points=st.lists(point, max_size=4), radius=st.floats(0.1, 4), region=st.none() | some)
    def brush(self, points, radius, region):
        self.attempt(lambda: self.regions.brush(points, radius, region))

    @rule(points=st.lists(point, max_size=4), radius=st.floats(0.1, 4), region=some)
    def erase(self, points, radius, region):
        self.attempt(lambda: self.regions.erase(points, region, radius))

    @rule(points=st.lists(point, max_size=4), region=some)
    def split(self, points, region):
        self.attempt(lambda: self.regions.split(region, points))

    @rule(region=some)
    def split_evenly(self, region):
        self.attempt(lambda: self.regions.split(region, 3, pixels(SIZE)))

    @rule(several=st.lists(some, max_size=4))
    def merge(self, several):
        self.attempt(lambda: self.regions.merge(*several))

    @rule(region=some)
    def remove(self, region):
        self.attempt(lambda: self.regions.remove(region))

    @rule(region=some, size=st.integers(1, 4))
    def grow(self, region, size):
        self.attempt(lambda: self.regions.grow(region, size))

    @rule(region=some, size=st.integers(1, 4))
    def shrink(self, region, size):
        self.attempt(lambda: self.regions.shrink(region, size))

    @rule(region=some)
    def switch(self, region):
        self.attempt(lambda: self.regions.switch(region))

    @rule(region=some, name=st.sampled_from(("ear", "eye", "")))
    def name(self, region, name):
        self.attempt(lambda: self.regions.name(region, name))

    @rule()
    def there_and_back(self):
        before, done = self.state(), 0
        while self.regions.undo():
            done += 1
        assert self.same(self.first) and self.regions.undoable == 0
        for _ in range(done):
            assert self.regions.redo()
        assert self.same(before) and not self.regions.redo()

    @invariant()
    def a_partition(self):
        if not hasattr(self, "regions"):
            return
        labels, names, off = self.state()
        assert labels.shape == SIZE and labels.dtype == np.int32
        assert np.array_equal(np.unique(labels), np.arange(len(self.regions)))
        assert set(names) | off <= set(range(len(self.regions)))
        assert len(set(names.values())) == len(names)


TestEditing = Editing.TestCase
TestEditing.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.fixture
def regions():
    return Regions(R.grid((20, 20), 2, 2))


def test_a_drawn_region_has_the_pixels_that_were_drawn(regions):
    number = regions.rectangle(5, 6, 15, 12, name="box")
    wanted = np.zeros((20, 20), bool)
    wanted[5:15, 6:12] = True
    np.testing.assert_array_equal(regions.mask("box"), wanted)
    assert number == 4 and regions.names == {4: "box"} and regions.areas[4] == 60
    circle = [(10 + 6 * np.cos(t), 10 + 6 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 60)]
    y, x = np.mgrid[:20, :20] + 0.5
    round_ = regions.mask(regions.lasso(circle))
    inside = (x - 10) ** 2 + (y - 10) ** 2 < 36
    assert (round_ != inside).sum() <= 8  # a polygon of 60 corners is nearly a circle


def test_a_region_that_is_covered_is_gone_and_the_others_keep_names_and_switches(regions):
    regions.name(3, "last")
    regions.switch(3)
    regions.rectangle(0, 0, 10, 10)  # all of region 0
    assert len(regions) == 4 and regions.names == {2: "last"} and regions.off == {2}
    assert regions.mask("last").sum() == 100 and regions.mask("last")[15, 15]


def test_a_brush_adds_and_an_eraser_takes(regions):
    before = regions.mask(0).sum()
    regions.brush([(10, 5), (14, 5)], 1.5, region=0)
    assert regions.mask(0)[5, 13] and regions.mask(0).sum() > before
    regions.erase([(0, 2), (9, 2)], 0, 1)
    assert not regions.mask(0)[2, 3] and regions.mask(0)[8, 3]


def test_a_stroke_splits_where_it_goes_through(regions):
    regions.split(0, [(-1, 3), (12, 3)])
    assert len(regions) == 5 and regions.mask(4).sum() < regions.mask(0).sum()
    assert regions.mask(0)[9, 5] != regions.mask(0)[1, 5] and set(np.unique(regions.labels[:10, :10])) == {0, 4}
    with pytest.raises(ValueError, match="does not cut region 1 through"):
        regions.split(1, [(12, 2), (14, 2)])
    with pytest.raises(LookupError, match="numbered 0 to 4"):
        regions.split(9, [(0, 0)])


def test_merging_keeps_the_first_number_and_is_off_only_where_all_were(regions):
    regions.off = (0, 1, 3)
    assert regions.merge(0, 1) == 0 and regions.off == {0, 2}
    assert regions.merge(1, 2) == 1 and regions.off == {0}
    assert len(regions) == 2


def test_growing_and_shrinking_move_the_edge_by_that_much(regions):
    number = regions.rectangle(6, 6, 14, 14)
    regions.grow(number, 1)
    assert regions.mask(number).sum() == 8 * 8 + 4 * 8
    regions.undo()
    regions.shrink(number, 2)
    assert regions.mask(number).sum() == 16
    with pytest.raises(ValueError, match="too small"):
        regions.shrink(number, 2)


def test_a_new_edit_ends_what_could_be_done_again(regions):
    regions.switch(0)
    regions.switch(1)
    regions.undo()
    assert (regions.undoable, regions.redoable) == (1, 1)
    regions.switch(2)
    assert regions.redoable == 0 and regions.off == {0, 2}


def test_cutting_anew(regions):
    regions.cut(4, columns=5)
    assert len(regions) == 20
    regions.cut("slic", pixels((20, 20)))
    np.testing.assert_array_equal(regions.labels, R.segment(pixels((20, 20)), "slic"))
    regions.cut(np.array([[7, 9]]).repeat(20, 0).repeat(10, 1))
    assert len(regions) == 2
    with pytest.raises(ValueError, match="needs the picture"):
        regions.cut("slic")
    with pytest.raises(ValueError, match="size"):
        regions.labels = np.zeros((3, 3), int)
    with pytest.raises(ValueError, match="5,000"):
        Regions(np.zeros((100, 100), int)).cut(np.arange(10_000).reshape(100, 100))
    with pytest.raises(ValueError, match="read-only"):
        regions.labels[0, 0] = 1


def test_bad_drawings_are_refused_in_words(regions):
    for edit, words in ((lambda: regions.draw(np.zeros((20, 20))), "no pixel"),
                        (lambda: regions.draw(np.ones((3, 3))), "size"),
                        (lambda: regions.lasso([(1, 1), (2, 2)]), "three points"),
                        (lambda: regions.merge(1), "two regions"),
                        (lambda: regions.brush([]), "press and drag")):
        with pytest.raises(ValueError, match=words):
            edit()
    for wrong, kind in ((True, TypeError), (1.5, TypeError), ("ear", LookupError), (-1, LookupError)):
        with pytest.raises(kind):
            regions.switch(wrong)
    assert regions.undoable == 0


@given(seed=st.integers(0, 1000), radius=st.floats(0.6, 5))
@settings(max_examples=25, deadline=None)
def test_a_brush_paints_discs_along_its_line(seed, radius):
    rng = np.random.default_rng(seed)
    points = [tuple(p) for p in rng.uniform(0, 30, (2, 2))]
    got = drawing.disc_along(points, radius, (30, 30))
    y, x = np.mgrid[:30, :30] + 0.5
    a, b = np.array(points)
    t = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / max(((b - a) ** 2).sum(), 1e-9), 0, 1)
    far = np.hypot(x - a[0] - t * (b - a)[0], y - a[1] - t * (b - a)[1])
    assert got[far < radius - 1.1].all() and not got[far > radius + 1.1].any()
