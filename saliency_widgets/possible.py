"""What a method asks of a model, said in words where the model has it not."""
from __future__ import annotations

from .engine.subject import Subject
from .methods import Method
from .model.preprocessing import Picture


def check_possible(method: Method, subject: Subject, positions: bool, picture: Picture) -> None:
    """ValueError where a method cannot explain this model or picture; `positions`: the model has a layer with them."""
    if method.gradients and subject.script:
        raise ValueError(f"{method.name} needs the model's modules and gradients, which a scripted model hides: "
                         f"use leave_one_out, or give the original model")
    if method.gradients and not subject.differentiable:
        raise ValueError(f"{method.name} needs gradients, and this callable's scores have none with respect to its input: "
                         f"use leave_one_out, occlusion, lime or rise, or give the network itself")
    if method.positions and not positions:
        raise ValueError(f"this model has no layer with positions (channels × height × width, or patches) for {method.name}: "
                         f"use gradient, integrated_gradients or leave_one_out")
    if not placed(method, picture):
        raise ValueError(f"{method.name} maps the model's input, and where that lies in the photograph is unknown "
                         f"({picture.photo.unknown}): use a method that cuts, such as leave_one_out, or space=\"input\"")


def placed(method: Method, picture: Picture) -> bool:
    """Whether it is known where a method's map lies in the picture that is shown."""
    return picture.photo is None or method.cuts or picture.photo.crop is not None
