"""The registry of methods: names are not taken over silently."""
import pytest

from saliency_widgets.methods import Draft, Round, method, methods, registry

DECLARED = dict(title="Mine", family="gradient", cost="1 evaluation", paper="none")


def written(module):
    """A method's function as `module` would write it."""
    def mine(context):
        (_, evaluation), = yield Round([context.gradient(context.image)])
        yield Draft(evaluation.gradient)
    mine.__module__ = module
    return mine


@pytest.fixture(autouse=True)
def as_before():
    methods()
    before = dict(registry._methods)
    yield
    registry._methods.clear()
    registry._methods.update(before)


def test_a_name_that_comes_along_is_not_taken_over():
    before = methods()["gradient"]
    with pytest.raises(ValueError, match="'gradient' is that of saliency_widgets.methods.gradient: choose another name"):
        method("gradient", **DECLARED)(written("__main__"))
    assert methods()["gradient"] is before


def test_a_cell_that_is_run_again_replaces_its_own_method_and_no_other_module_does():
    method("mine", **DECLARED)(written("__main__"))
    again = written("__main__")
    method("mine", **{**DECLARED, "title": "Mine, again"})(again)
    assert methods()["mine"].run is again and methods()["mine"].title == "Mine, again"
    with pytest.raises(ValueError, match="'mine' is that of __main__"):
        method("mine", **DECLARED)(written("another_package.maps"))
