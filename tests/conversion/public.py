"""State dicts of the public layout, made of random numbers."""

import numpy as np


def state_dict(num_stages=2, width=6, num_coords=3, local=5, style=7, seed=0):
    """Names to arrays under g/ and d/, dead keys included."""
    rng = np.random.default_rng(seed)
    arrays = {}

    def add(name, *shape):
        arrays[name] = rng.standard_normal(shape).astype(np.float32)

    def modulated(name, size, inputs, outputs):
        add(f"{name}.conv.weight", 1, outputs, inputs, size, size)
        add(f"{name}.conv.modulation.weight", inputs, style)
        add(f"{name}.conv.modulation.bias", inputs)

    inputs = local + num_coords
    for i in range(4):
        name = f"g/structure_synthesizer.implicit_model.conv_stack.{i}.conv"
        modulated(name, 7, inputs, width)
        add(f"{name}.activate.bias", width)
        inputs = width + num_coords
    texture = "g/texture_synthesizer"
    for i in range(1, 4):
        add(f"{texture}.mapping.{i}.weight", style, style)
        add(f"{texture}.mapping.{i}.bias", style)
    add(f"{texture}.const_z.input", 1, width, 4, 4)
    for i in range(2 * num_stages):
        modulated(f"{texture}.convs.{i}", 3, width, width)
        add(f"{texture}.convs.{i}.noise.weight", 1)
        add(f"{texture}.convs.{i}.activate.bias", width)
        add(f"{texture}.noises.noise_{i}", 1, 1, 8, 8)
        if i % 2 == 0:
            add(f"{texture}.convs.{i}.conv.blur.kernel", 3, 3)
    for i in range(num_stages):
        modulated(f"{texture}.to_rgbs.{i}", 1, width, 3)
        add(f"{texture}.to_rgbs.{i}.bias", 1, 3, 1, 1)
        add(f"{texture}.to_rgbs.{i}.upsample.kernel", 3, 3)
    _discriminator(add, num_stages, width)
    return arrays


def _discriminator(add, num_stages, width):
    patch = 5 + 6 * 2**num_stages
    add("d/convs.0.0.weight", width, 3, 1, 1)
    add("d/convs.0.1.bias", width)
    size = patch
    for i in range(1, num_stages + 2):
        add(f"d/convs.{i}.conv1.0.weight", width, width, 3, 3)
        add(f"d/convs.{i}.conv1.1.bias", width)
        add(f"d/convs.{i}.conv2.0.kernel", 4, 4)
        add(f"d/convs.{i}.conv2.1.weight", width, width, 3, 3)
        add(f"d/convs.{i}.conv2.2.bias", width)
        add(f"d/convs.{i}.skip.0.kernel", 4, 4)
        add(f"d/convs.{i}.skip.1.weight", width, width, 1, 1)
        size = (size - 2) // 2 + 1  # blur to n + 1, then 3 taps at stride 2
    add("d/final_conv.0.weight", width, width + 1, 3, 3)
    add("d/final_conv.1.bias", width)
    for name, outputs in (("final_linear", 1), ("coord_linear", 3)):
        add(f"d/{name}.0.weight", width, width * size * size)
        add(f"d/{name}.0.bias", width)
        add(f"d/{name}.1.weight", outputs, width)
        add(f"d/{name}.1.bias", outputs)
