"""Building the network a :class:`ModelSource` names, with random weights."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pipeline.errors import UsageError
from pipeline.models import model_file
from pipeline.models.one_output import answer_in_order, answer_with_one_tensor, described
from pipeline.models.raw_detector import RawDetector, is_torchvision_detector
from pipeline.models.torchvision_detectors import build_detector, fed_as_it_is
from pipeline.models.wrapped_detector import unwrapped
from pipeline.models.yolo.build import build_yolo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipeline.models.source import ModelSource

__all__ = ["advice_on_input", "build_network", "check_outputs", "modes_kept"]

_TORCHVISION_ARGUMENTS: dict[str, dict[str, Any]] = {
    # Without the auxiliary heads, which only training in the paper's way uses and which return tuples; with the
    # input transform that their pretrained weights need, so that one preprocessing serves all weights.
    "googlenet": {"aux_logits": False, "transform_input": True, "init_weights": True},
    "inception_v3": {"aux_logits": False, "transform_input": True, "init_weights": True},
    # Its only weights are for this size.
    "vit_h_14": {"image_size": 518},
}


def build_network(source: ModelSource, *, classes: int) -> nn.Module:
    """A new network with ``classes`` outputs and random weights, in training mode like any new module.

    Args:
        source: Which one.
        classes: Number of outputs; a factory of the user's gets it when it takes ``num_classes``.

    Raises:
        UsageError: when the user's factory fails or returns something else than an ``nn.Module``, or what decodes its
            raw outputs is a module of its own with tensors.
    """
    network = _built(source, classes)
    return network if source.columns is None else answer_in_order(network, list(source.columns))


def _built(source: ModelSource, classes: int) -> nn.Module:
    if source.origin == "torchvision" and source.task == "detection":
        return build_detector(source.name, classes, wide_tail=source.wide_tail)
    if source.origin == "torchvision":
        return _build_torchvision(source.name, classes)
    if source.origin == "yolo":
        return fed_as_it_is(build_yolo(source.name, classes))
    if source.origin == "timm":
        import timm

        network: nn.Module = timm.create_model(source.name, pretrained=False, num_classes=classes)
        return answer_with_one_tensor(network, source.output, source.one_number, classes=classes)
    if source.task == "detection":
        return _build_detector_from_file(source, classes)
    network = _build_from_file(source, classes)
    return answer_with_one_tensor(network, source.output, source.one_number, classes=classes)


def _build_detector_from_file(source: ModelSource, classes: int) -> nn.Module:
    """One of torchvision's interface, or one of raw outputs with what decodes them.

    A factory may load strictly, or refuse a number of classes: it is called with the one of its interface, which a
    function ``decode`` beside it tells, a method only once the network is there.
    """
    beside = _functions_beside(source)
    if "decode" in beside:
        network = _build_from_file(source, classes)  # raw scores have no background
        if not is_torchvision_detector(unwrapped(network)):
            return _raw_detector(network, beside)
    try:
        network = unwrapped(_build_from_file(source, classes + 1))  # torchvision counts the background as one
    except UsageError:
        raw = _of_raw_outputs(source, classes)
        if raw is None:
            raise
        return raw
    if is_torchvision_detector(network) or not callable(getattr(network, "decode", None)):
        return fed_as_it_is(network)
    return _raw_detector(_build_from_file(source, classes), beside)


def _functions_beside(source: ModelSource) -> dict[str, Callable[..., Any]]:
    if source.file is None:
        return {}
    return model_file.functions_beside(source.file, source.file_sha256, ("decode", "loss"))


def _of_raw_outputs(source: ModelSource, classes: int) -> RawDetector | None:
    """What the factory makes for these classes, where it decodes itself; None where it does not, or fails again."""
    try:
        network = _build_from_file(source, classes)
    except UsageError:
        return None  # as before, which is told
    return _raw_detector(network, {}) if callable(getattr(network, "decode", None)) else None


def _raw_detector(network: nn.Module, beside: Mapping[str, Callable[..., Any]]) -> RawDetector:
    """With its method ``decode``, or else the function beside its factory, and the ``loss`` from the same place."""
    decode: Any = getattr(network, "decode", None)
    loss: Any = getattr(network, "loss", None)
    is_beside = not callable(decode)
    if is_beside:
        decode, loss = beside["decode"], beside.get("loss")
    if not callable(loss) or type(loss).__module__ == nn.CrossEntropyLoss.__module__:
        loss = None  # torch's own compare two tensors
    if is_beside:
        _check_stateless("decode", decode)
        _check_stateless("loss", loss)
    return RawDetector(network, decode, loss)


def _check_stateless(name: str, beside: object) -> None:
    """See that nothing beside the factory holds tensors: they would stay on the CPU, shared by all networks made."""
    if isinstance(beside, nn.Module) and (held := [*beside.parameters(), *beside.buffers()]):
        raise UsageError(
            f"the module {name!r} beside the factory holds tensors, which do not go where the network goes",
            where=name,
            got=f"{type(beside).__name__} with {len(held)} tensor(s)",
            expected=f"a function {name}, or a module without parameters and buffers",
            fix=f"make it a part of the network, and ask it in a method {name} of the network",
        )


def _build_torchvision(name: str, classes: int) -> nn.Module:
    from torchvision.models import get_model

    network: nn.Module = get_model(name, weights=None, num_classes=classes, **_TORCHVISION_ARGUMENTS.get(name, {}))
    return network


def _build_from_file(source: ModelSource, classes: int) -> nn.Module:
    if source.file is None:
        raise UsageError(f"the file of model {source.name!r} is not known", fix="give it as path/to/file.py:factory")
    factory = model_file.load_factory(source.file, source.name, source.file_sha256)
    where = f"{source.file}:{source.name}"
    arguments = {"num_classes": classes} if _takes_classes(factory) else {}
    try:
        network = factory(**arguments)
    except (Exception, SystemExit) as error:
        if model_file.asked_to_end(error):
            raise
        called = f"{source.name}({', '.join(f'{key}={value}' for key, value in arguments.items())})"
        raise UsageError(
            f"{called} fails",
            where=where,
            got=model_file.describe(error),
            fix="mend the factory; it is called with num_classes where it takes that, and with nothing else",
        ) from error
    if not isinstance(network, nn.Module):
        raise UsageError(
            "the factory returned no network", where=where, got=type(network).__name__, expected="nn.Module"
        )
    _check_parts(network, where)
    return network.to("cpu").float()  # where every network starts; it may be in 16 bits, or on a GPU


def _check_parts(network: nn.Module, where: str) -> None:
    """See that every layer has its sizes and can be taken apart."""
    unsized = [name for name, parameter in network.named_parameters() if is_lazy(parameter)]
    if unsized:
        raise UsageError(
            "layers of this network learn their sizes from a first image, and no stage could rebuild them",
            where=where,
            got=unsized[0],
            fix="show it one in the factory: network(torch.zeros(1, 3, 224, 224))",
        )
    scripted = [name for name, module in network.named_modules() if type(module).__name__ == "RecursiveScriptModule"]
    if scripted:
        raise UsageError(
            "a part of this network is compiled TorchScript, and can neither be pruned nor rebuilt",
            where=where,
            got=scripted[0] or "all of it",
            fix="leave its compiling out of the factory",
        )


def _takes_classes(factory: Callable[..., Any]) -> bool:
    parameters = inspect.signature(factory).parameters
    return "num_classes" in parameters or any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def check_outputs(network: nn.Module, input_shape: tuple[int, ...], *, classes: int, trained: bool = False) -> None:
    """See that the network takes this input and answers with one number per class.

    Args:
        network: Its mode is as before afterwards.
        input_shape: With the batch, such as ``(1, 3, 224, 224)``.
        classes: Of the data.
        trained: Whether it will be trained, and so has to answer for batches in training mode too.

    Raises:
        UsageError: before anything is trained on it.
    """
    with modes_kept(network):
        _check(network.eval(), input_shape, classes)
        if trained:
            _check(network.train(), (2, *input_shape[1:]), classes)


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Every module is in training or evaluation mode afterwards as it was before."""
    was_training = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, training in was_training.items():
            module.training = training


def _check(network: nn.Module, shape: tuple[int, ...], classes: int) -> None:
    """One call in the network's present mode; its main output is what counts."""
    shown = "x".join(map(str, shape)) + (" in training mode" if network.training else "")
    try:
        with torch.no_grad():
            outputs = network(torch.zeros(shape))
    except UsageError:
        raise  # it answers no tensor, which is told as it is
    except Exception as error:
        raise UsageError(
            f"the network does not take an input of {shown}",
            got=model_file.describe(error),
            fix=advice_on_input(network, shape),
        ) from error
    main = outputs[0] if isinstance(outputs, tuple) else outputs
    if tuple(main.shape) != (shape[0], classes):
        raise UsageError(
            f"the network does not answer with {classes} classes",
            got=f"{described(main)} for an input of {shown}",
            expected=f"one tensor {(shape[0], classes)}",
            fix="let the factory take num_classes, or name the classes the network knows in the data's classes.txt",
        )


def advice_on_input(network: nn.Module, shape: tuple[int, ...]) -> str:
    """What to set for a network that does not take this shape."""
    for channels, words in ((1, "input.channels=gray"), (3, "input.channels=RGB")):
        if shape[1] == channels:
            continue
        try:
            with torch.no_grad():
                network(torch.zeros(shape[0], channels, *shape[2:]))
        except Exception:  # noqa: BLE001, S112 - whatever a network raises: then this is not it
            continue
        return f"it takes images of {channels} channel(s): set {words}"
    return "set input.size to what it was made for"
