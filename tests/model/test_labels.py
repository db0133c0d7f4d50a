"""Names of outputs, and the way back from a name."""
import pytest

from saliency_widgets.model.labels import Labels


def test_there_and_back():
    labels = Labels(["cat", "Dog", "cat"], 3)
    assert [labels.label(i) for i in range(3)] == ["cat", "Dog", "cat"]
    assert labels.index("DOG") == 1 and labels.index("cat") == 0 and labels.index(-1) == 2
    assert Labels({1: "dog"}, 3).label(2) == "class 2" and Labels({1: "dog"}, 3).index("dog") == 1
    assert Labels(None, 3).index("class 2") == 2


@pytest.mark.parametrize("names, value, error, words", [
    (["cat", "dog"], "kat", LookupError, "'cat'"), (["cat", "dog"], 2, LookupError, "0 to 1"),
    (None, "dog", LookupError, "labels="), (["cat", "dog"], 1.0, TypeError, "index or a label"),
    (["cat", "dog"], True, TypeError, "True")])
def test_what_is_not_there_is_named(names, value, error, words):
    with pytest.raises(error, match=words):
        Labels(names, 2).index(value)


def test_wrong_labels_are_refused():
    with pytest.raises(ValueError, match="3 names but the model has 2"):
        Labels(["a", "b", "c"], 2)
    with pytest.raises(TypeError, match="list of names"):
        Labels("cat", 3)
