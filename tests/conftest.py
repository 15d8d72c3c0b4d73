"""Settings of JAX and of run-time checks that hold for every test.

Eight CPU devices, so that whatever is mapped over devices is tested so; no silent
promotion of ranks or types; and the package's annotations, shapes included, are checked
at each call (only here: users do not pay for it).
"""

import atexit
import os
import shutil
import tempfile

DEVICES = "--xla_force_host_platform_device_count"
others = [f for f in os.environ.get("XLA_FLAGS", "").split() if DEVICES not in f]
os.environ["XLA_FLAGS"] = " ".join([*others, f"{DEVICES}=8"])
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What the commands compile is kept for the other tests, those of other workers too, and
# not in the user's folder.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="infinitygan_jax-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

import jax  # noqa: E402
import jaxtyping  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# An int is accepted where a float is asked for, as type checkers do. A function with an
# annotation that cannot be checked, such as a class of a Protocol, is left alone with a
# warning.
CHECKER = (
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True, "
    "warning_cls_on_decorator_exception=UserWarning))"
)
jaxtyping.install_import_hook("infinitygan_jax", CHECKER)
