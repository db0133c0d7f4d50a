"""Where a clone cannot share: other devices, inference tensors, scripts; and what has no clone."""

import pytest
import torch
from torch import nn

from saliency_widgets.model.clone import is_script, structural_clone, working_model
from tests.model.test_clone import Writes, picture, small, snapshot


def test_inference_tensors_are_copied_so_that_gradients_flow():
    with torch.inference_mode():
        model = small()
        clone = working_model(model)
    assert model[0].weight.is_inference() and not any(p.is_inference() for p in clone.parameters())
    x = picture().requires_grad_(True)
    (gradient,) = torch.autograd.grad(clone(x).sum(), x)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_mode_does_not_matter(mode):
    model = small()
    with mode():
        clone = structural_clone(model)
    x = picture().requires_grad_(True)
    assert torch.autograd.grad(clone(x).sum(), x)[0].abs().sum() > 0
    assert not any(t.is_inference() for t in [*clone.parameters(), *clone.buffers()])


def test_another_device_owns_copies():
    model = small()
    state = snapshot(model)
    clone = working_model(model, "meta")
    assert {t.device.type for t in [*clone.parameters(), *clone.buffers()]} == {"meta"}
    assert snapshot(model) == state
    assert working_model(model, "cpu")[0].weight.data_ptr() == model[0].weight.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_clone_on_cuda_computes_the_same():
    model = Writes()
    clone = working_model(model.eval(), "cuda")
    assert clone.plain.is_cuda and clone.count.is_cuda and model.count.device.type == "cpu"


def test_scripts():
    model = small().train()
    scripted = torch.jit.script(model)
    assert is_script(scripted) and not is_script(model)
    assert is_script(torch.jit.trace(small().eval(), picture(), check_trace=False))
    with pytest.raises(TypeError, match="scripted"):
        structural_clone(scripted)
    before = {k: v.clone() for k, v in scripted.state_dict().items()}
    twin = working_model(scripted)
    twin(picture())
    assert scripted.training and not twin.training
    assert all(torch.equal(v, scripted.state_dict()[k]) for k, v in before.items())
    torch.testing.assert_close(
        structural_clone(nn.Sequential(scripted, nn.ReLU()))(picture()), twin(picture()).relu()
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there():
    with pytest.raises(ValueError, match="cuda.*use device='cpu'"):
        working_model(small(), "cuda")


def test_refusals():
    with pytest.raises(TypeError, match="torch.nn.Module"):
        structural_clone(lambda x: x)
    with pytest.raises(ValueError, match="run it once"):
        structural_clone(nn.Sequential(nn.LazyLinear(3)))
