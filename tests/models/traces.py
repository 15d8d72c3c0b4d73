"""What a trace computes."""

import math
from collections.abc import Iterator


def products(jaxpr) -> Iterator[tuple[int, int]]:
    """Outputs, and products an output, of each convolution and matrix product."""
    for equation in jaxpr.eqns:
        for parameter in equation.params.values():
            if hasattr(parameter, "jaxpr"):
                yield from products(parameter.jaxpr)
        if equation.primitive.name == "conv_general_dilated":
            summed = equation.invars[1].aval.shape[:3]  # HWIO
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            summed = [equation.invars[0].aval.shape[axis] for axis in contracted]
        else:
            continue
        yield equation.outvars[0].aval.size, math.prod(summed)
