"""The store keeps what fits, forgets the least recently used, and never changes a value."""
import torch

from saliency_widgets.engine.probe import Evaluation
from saliency_widgets.engine.store import Store


def item(floats):
    return Evaluation(torch.zeros(floats))


def test_least_recently_used_goes_first():
    store = Store(budget=4 * 30)
    for name in "abc":
        store.put((name, 0), item(10))
    assert store.get(("a", 0)) is not None and store.nbytes == 120
    store.put(("d", 0), item(10))
    assert store.get(("b", 0)) is None
    assert all(store.get((n, 0)) is not None for n in "acd") and store.nbytes == 120


def test_putting_again_counts_once_and_too_large_is_not_kept():
    store = Store(budget=100)
    store.put(("a", 0), item(10))
    store.put(("a", 0), item(20))
    assert store.nbytes == 80 and len(store) == 1
    store.put(("b", 0), item(26))
    assert store.get(("b", 0)) is None and len(store) == 1


def test_forgetting_a_model_and_shrinking_the_budget():
    store = Store(budget=1000)
    for uid in (1, 2):
        for n in range(3):
            store.put((uid, n), item(10))
    store.forget(1)
    assert len(store) == 3 and store.nbytes == 120
    store.budget = 50
    assert len(store) == 1 and store.nbytes == 40


def test_a_model_that_dies_while_something_is_kept_does_not_stop_the_store():
    """The garbage collector runs where it likes: also inside `put`."""
    store = Store(budget=1000)
    store.put((1, 0), item(10))

    class Dying:
        @property
        def nbytes(self):
            store.forget(1)
            return 8

    store.put((2, 0), Dying())
    assert store.get((1, 0)) is None and len(store) == 1
