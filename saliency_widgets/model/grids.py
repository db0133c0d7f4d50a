"""Where the picture's positions lie in an output: channels first, channels last, or rows of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Size, Tensor, nn

MOST_PREFIX = 8  # class, distillation and register tokens in front of the patches


@dataclass(frozen=True)
class Layout:
    """How an output `(N, …)` lays out positions.

    `channels_last` is `(N, h, w, C)`; `grid` with `prefix` is `(N, prefix + h·w, D)`; `apart` says that its
    positions are not the picture's: windows, or another first axis than the batch.
    """

    channels_last: bool = False
    grid: tuple[int, int] | None = None
    prefix: int = 0
    apart: bool = False


class Layouts:
    """Tells the layout of each output of one forward pass on `(N, C, H, W)`, asked in execution order."""

    def __init__(self, shape: Size):
        self.batch, self.picture = shape[0], tuple(shape[-2:])
        self._grids: list[tuple[int, int]] = []  # seen so far, the latest last
        self._windows: set[tuple[int, int]] = set()

    def of(self, module: nn.Module, output: Tensor, source: tuple[Size, Layout] | None) -> Layout:
        """The layout of a module's output; `source` is the shape and layout of its first input where known."""
        if output.shape[0] != self.batch:
            return Layout(apart=True)
        if output.dim() == 3:
            found = token_grid(output.shape[1], self._grids, self.picture)
            if found is None:
                return Layout()
            if found[1] == 0:  # bare patches: what follows may put tokens before them
                self._remember(found[0])
            return Layout(grid=found[0], prefix=found[1])
        if output.dim() != 4:
            return Layout()
        if self._windowed(module, output):
            return Layout(apart=True)
        last = _channels_last(module, output, source)
        grid = tuple(output.shape[1:3] if last else output.shape[2:])
        if last and not _proportional(grid, self.picture):
            return Layout(channels_last=True, apart=True)
        self._remember(grid)
        return Layout(channels_last=last)

    def _remember(self, grid: tuple[int, int]) -> None:
        if grid[0] * grid[1] > 1 and self._grids[-1:] != [grid]:
            self._grids.append(grid)

    def _windowed(self, module: nn.Module, output: Tensor) -> bool:
        """Whether `(N, windows, positions, C)` came out, as inside MaxViT; it lasts until the windows are put together."""
        if type(module).__name__ == "WindowPartition":
            a, b = output.shape[1:3]
            self._windows |= {(a, b), (b, a)}
        return tuple(output.shape[1:3]) in self._windows


def token_grid(
    length: int, grids: list[tuple[int, int]], picture: tuple[int, int]
) -> tuple[tuple[int, int], int] | None:
    """The grid (h, w) that `length` rows of tokens make, and the number of tokens before the patches.

    It is the latest of the `grids` that outputs before had, with at most `MOST_PREFIX` tokens more. Where no
    output had one (patches cut by reshaping) it is the picture `(H, W)` in square patches, after no token or one.
    """
    for h, w in reversed(grids):
        if 0 <= length - h * w <= min(MOST_PREFIX, h * w - 1):
            return (h, w), length - h * w
    if grids:
        return None
    height, width = picture
    for prefix in (0, 1):
        for side in range(1, min(height, width) + 1):
            if height % side == 0 == width % side and height // side * (width // side) == length - prefix > 1:
                return (height // side, width // side), prefix
    return None


def _proportional(grid: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether a grid has the picture's proportions, up to one row or column of rounding."""
    return abs(grid[0] * picture[1] - grid[1] * picture[0]) <= max(picture)


def _channels_last(module: nn.Module, output: Tensor, source: tuple[Size, Layout] | None) -> bool:
    """Whether a 4-D output is `(N, h, w, C)`, as inside ConvNeXt and Swin."""
    dims = tuple(getattr(module, "dims", None) or ()) if type(module).__name__ == "Permute" else ()
    if dims in ((0, 2, 3, 1), (0, 3, 1, 2)):  # torchvision's Permute
        return dims == (0, 2, 3, 1)
    if isinstance(module, nn.Linear) or type(module).forward is nn.LayerNorm.forward:
        return True
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:  # others permute inside
        return output.shape[-1] == module.normalized_shape[0] != output.shape[1]
    return source is not None and source[1].channels_last and source[0] == output.shape
