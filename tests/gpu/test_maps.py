"""Maps on a device are those of the CPU."""
import numpy as np
import pytest
import torch

from saliency_widgets import Session, methods
from saliency_widgets.engine import devices
from saliency_widgets.engine.store import STORE
from tests.engine.test_elsewhere import ATTENTION, NAMES, SIZE, cheap
from tests.small import small, tensor
from tests.transformers import swin, vit

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", NAMES)
def test_every_method_gives_the_map_of_the_cpu(cuda, name):
    here = Session(small(), tensor(SIZE)).map(name, **cheap(name)).values
    session = Session(small(), tensor(SIZE), device=cuda)
    for _ in range(3):  # as usual, recorded, replayed
        STORE.forget(session.subject.uid)
        there = session.map(name, **cheap(name)).values
        np.testing.assert_allclose(there, here, atol=1e-8 * max(abs(here).max(), 1e-30))


@pytest.mark.parametrize("make", [vit, swin])
@pytest.mark.parametrize("name", ["gradient", "integrated_gradients", *ATTENTION])
def test_transformers_too(cuda, make, name):
    if make is swin and name in ATTENTION:
        name = "gradient"
    here = Session(make(), tensor((32, 32))).map(name, **cheap(name)).values
    there = Session(make(), tensor((32, 32)), device=cuda).map(name, **cheap(name)).values
    np.testing.assert_allclose(there, here, atol=1e-8 * abs(here).max())


def test_a_network_in_float32_points_the_same_way(cuda):
    here = Session(small().float(), tensor().float()).map("integrated_gradients", steps=16).values.ravel()
    there = Session(small().float().to(cuda), tensor().float()).map("integrated_gradients", steps=16).values.ravel()
    assert here @ there / np.linalg.norm(here) / np.linalg.norm(there) > 0.999


def test_a_picture_that_lies_on_the_device_and_a_model_that_does(cuda):
    session = Session(small().to(cuda), tensor(SIZE).to(cuda))
    assert session.device == cuda and session.inputs.image.device == cuda
    wanted = Session(small(), tensor(SIZE)).map("leave_one_out", grid=4).values
    np.testing.assert_allclose(session.map("leave_one_out", grid=4).values, wanted, atol=1e-8)


def test_nothing_of_the_user_s_is_changed(cuda):
    model = small().to(cuda)
    torch.manual_seed(3)
    state, flags = torch.cuda.get_rng_state(cuda), (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    session = Session(model, tensor(SIZE))
    for name in ("gradient", "grad_cam", "smoothgrad"):
        session.map(name, **cheap(name))
    assert torch.equal(torch.cuda.get_rng_state(cuda), state)
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == flags
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_results_come_over_by_pinned_memory_as_arrays_of_their_own(cuda):
    rows = torch.arange(24.0, device=cuda).view(2, 3, 4).permute(2, 0, 1)
    array = devices.to_host(rows)
    np.testing.assert_array_equal(array, rows.cpu().numpy())
    assert array.flags.owndata and array.flags.c_contiguous and devices._pinned(rows).is_pinned()
    many = {str(n): torch.full((n, 2), float(n), device=cuda) for n in range(1, 40)}
    for name, found in devices.all_to_host(many).items():
        np.testing.assert_array_equal(found, many[name].cpu().numpy())


def test_a_quarter_of_the_free_memory_is_lent(cuda):
    from saliency_widgets.engine.store import Store

    store, free = Store(), torch.cuda.mem_get_info(cuda)[0]
    assert store.share(torch.device("cpu")) == 1 << 30
    assert abs(store.share(cuda) - free // 4) < free // 20


def test_another_device_by_number(second):
    here = Session(small(), tensor(SIZE))
    there = Session(small(), tensor(SIZE), device="cuda:1")
    assert there.device == second and str(there.device) == "cuda:1"
    for name in methods():
        if name in ("gradient", "grad_cam", "leave_one_out", "smoothgrad"):
            for _ in range(3):
                STORE.forget(there.subject.uid)
                found = there.map(name, **cheap(name)).values
            np.testing.assert_allclose(found, here.map(name, **cheap(name)).values, atol=1e-8)
    assert torch.cuda.current_device() == 0 and there.subject.graphs.count > 0


def test_a_device_that_is_not_there_is_told(cuda):
    with pytest.raises(ValueError, match="there is"):
        Session(small(), tensor(SIZE), device=f"cuda:{torch.cuda.device_count()}")


@pytest.mark.parametrize("name", NAMES)
def test_an_apple_gpu_gives_the_maps_of_the_cpu_in_float32(mps, name):
    there = Session(small().float(), tensor(SIZE).float(), device=mps).map(name, **cheap(name)).values
    here = Session(small().float(), tensor(SIZE).float()).map(name, **cheap(name)).values
    assert there.dtype == np.float32 and np.isfinite(there).all()
    if name not in ("eigen_cam", "meaningful_perturbation", "activation_maximisation", "guided_ig"):  # these take turnings
        np.testing.assert_allclose(there, here, atol=2e-2 * max(abs(here).max(), 1e-30))


def test_an_apple_gpu_refuses_float64_in_words(mps):
    with pytest.raises(ValueError, match="float64"):
        Session(small(), tensor(SIZE), device=mps)
