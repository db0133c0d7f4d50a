"""Label maps: cells are equal, labels are checked and numbered."""
import numpy as np
import pytest

from saliency_widgets import regions as R


@pytest.mark.parametrize("size, rows, columns", [((224, 224), 14, 14), ((30, 45), 7, 4), ((5, 5), 5, 5), ((9, 7), 1, 1)])
def test_a_grid_covers_everything_with_cells_that_differ_by_one_row_and_column(size, rows, columns):
    labels = R.grid(size, rows, columns)
    assert labels.shape == size and set(np.unique(labels)) == set(range(rows * columns))
    heights = [np.unique(np.nonzero(labels == r * columns)[0]).size for r in range(rows)]
    assert max(heights) - min(heights) <= 1
    assert R.areas(labels).sum() == size[0] * size[1]


def test_a_grid_finer_than_the_pixels_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        R.grid((4, 4), 5, 2)


def test_a_users_labels_are_numbered_in_order():
    labels = R.as_labels(np.array([[7, 7], [-2, 100]]), (2, 2))
    assert labels.tolist() == [[1, 1], [0, 2]]
    with pytest.raises(ValueError, match="size"):
        R.as_labels(np.zeros((3, 2), int), (2, 2))
    with pytest.raises(TypeError, match="whole numbers"):
        R.as_labels(np.zeros((2, 2)), (2, 2))
