"""Single convolutions' rates by the machine's: ``python -m benchmarks.convolutions``.

Every figure is a percentage of the rate of a float32 matrix product timed in turn with
it, by wall time. Forward is followed by a scaled leaky ReLU, into which the crop fuses
as in the model; "2nd" is the gradient by the kernel of the squared norm of an input
gradient, the shape of R1. Counted: 2 x outputs x taps x in x out (transposed: inputs in
place of outputs), the same for the three first columns and five times that for "2nd".
"""

import argparse
import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks import machine
from infinitygan_jax.models import convolution
from infinitygan_jax.models import convolution_forms as forms

COLUMNS = ("forward", "grad x", "grad k", "2nd")


@dataclasses.dataclass(frozen=True)
class Case:
    """One convolution: batch, pixels a side, channels in and out, taps a side."""

    kind: str
    batch: int
    size: int
    inputs: int
    outputs: int
    taps: int = 3

    @property
    def operations(self) -> int:
        """Of the forward pass."""
        size = {
            "valid": self.size - self.taps + 1,
            "same": self.size,
            "stride 2": (self.size - self.taps) // 2 + 1,
            "transpose": self.size,
        }[self.kind]
        pixels = self.batch * size * size
        return 2 * pixels * self.taps**2 * self.inputs * self.outputs

    def __str__(self) -> str:
        shape = f"{self.batch}, {self.size}, {self.inputs}, {self.outputs}, {self.taps}"
        return f"{self.kind} | {shape}"


CASES = (
    Case("valid", 1, 18, 512, 512),
    Case("valid", 1, 55, 512, 512),
    Case("valid", 1, 128, 512, 512),
    Case("valid", 4, 18, 512, 512),
    Case("valid", 4, 17, 259, 256, 7),
    Case("valid", 1, 35, 259, 256, 7),
    Case("transpose", 1, 11, 512, 512),
    Case("transpose", 1, 53, 512, 512),
    Case("transpose", 4, 29, 512, 512),
    Case("same", 4, 101, 128, 128),
    Case("stride 2", 4, 102, 256, 512),
    Case("valid", 16, 53, 64, 64),
    Case("valid", 1, 517, 32, 32),
    Case("transpose", 16, 53, 64, 64),
)


def ours(case: Case) -> Callable:
    """The model's convolution of a case."""
    return {
        "valid": convolution.conv_valid,
        "same": convolution.conv_same,
        "stride 2": functools.partial(convolution.conv_valid, stride=2),
        "transpose": convolution.conv_transpose_stride2,
    }[case.kind]


def plain(case: Case) -> Callable:
    """What jax.lax makes of a case, derivatives included."""
    if case.kind == "transpose":
        side = 2 * case.size - 1
        return lambda x, kernel: forms.plain_scatter(x, kernel, 2, 1, (side, side))
    stride = 2 if case.kind == "stride 2" else 1
    padding = (case.taps - 1) // 2 if case.kind == "same" else 0
    return lambda x, kernel: forms.plain_correlate(x, kernel, stride, padding)


def functions(convolve: Callable) -> dict[str, Callable]:
    """What the columns time, of (x, kernel), jitted."""

    def forward(x, kernel):
        return jax.nn.leaky_relu(convolve(x, kernel), 0.2) * jnp.float32(2**0.5)

    def cotangent(x, kernel):
        return jnp.ones_like(convolve(x, kernel))

    # The gradient of a linear map: nothing of the forward pass is left to compute.
    def by_x(x, kernel):
        return jax.vjp(lambda x: convolve(x, kernel), x)[1](cotangent(x, kernel))[0]

    def by_kernel(x, kernel):
        return jax.vjp(lambda k: convolve(x, k), kernel)[1](cotangent(x, kernel))[0]

    def second(x, kernel):
        def norm(kernel):
            grad = jax.grad(lambda x: jnp.sum(jnp.square(convolve(x, kernel))))(x)
            return jnp.sum(jnp.square(grad))

        return jax.grad(norm)(kernel)

    columns = (forward, by_x, by_kernel, second)
    return {n: jax.jit(f) for n, f in zip(COLUMNS, columns, strict=True)}


def shares(case: Case, convolve: Callable, repeats: int) -> list[float]:
    """Percent of the matrix product's rate, for each of ``COLUMNS``."""
    x_key, kernel_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (case.batch, case.size, case.size, case.inputs))
    kernel_shape = (case.taps, case.taps, case.inputs, case.outputs)
    kernel = jax.random.normal(kernel_key, kernel_shape) / case.taps
    found = []
    for column, function in functions(convolve).items():
        seconds = machine.best_seconds(function, x, kernel, repeats=repeats)
        times = 5 if column == "2nd" else 1
        rate = times * case.operations / 1e9 / seconds
        found.append(100 * rate / machine.matmul_rate(repeats))
    return found


def main() -> None:
    """Prints one row of a table for each convolution."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="calls; the best counts")
    parser.add_argument(
        "--plain", action="store_true", help="also time jax.lax's own, which is slow"
    )
    kinds = sorted({case.kind for case in CASES})
    parser.add_argument("--kind", choices=kinds, help="only this kind")
    args = parser.parse_args()
    print("op | batch, size, in, out, k | " + " | ".join(COLUMNS) + " | of")
    for case in CASES:
        if args.kind in (None, case.kind):
            forms_of = {"ours": ours(case)}
            if args.plain:
                forms_of["lax"] = plain(case)
            for name, convolve in forms_of.items():
                cells = (f"{s:.0f}" for s in shares(case, convolve, args.repeats))
                print(f"{case} | {' | '.join(cells)} | {name}", flush=True)


if __name__ == "__main__":
    main()
